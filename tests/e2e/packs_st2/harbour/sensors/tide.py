import threading

from st2reactor.sensor.base import Sensor


class TideSensor(Sensor):
    def __init__(self, sensor_service, config=None):
        super(TideSensor, self).__init__(sensor_service=sensor_service, config=config)
        self._stop = threading.Event()
        self._marks = {}

    def setup(self):
        pass

    def run(self):
        while not self._stop.wait(0.2):
            for ref, mark in sorted(self._marks.items()):
                if mark is not None:
                    self._marks[ref] = None
                    self.sensor_service.dispatch(trigger=ref, payload={"mark": mark})

    def cleanup(self):
        self._stop.set()

    def add_trigger(self, trigger):
        print("add %s" % trigger["parameters"].get("mark"))
        self._marks[trigger["ref"]] = trigger["parameters"]["mark"]

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        print("remove %s" % trigger["parameters"].get("mark"))
        self._marks.pop(trigger["ref"], None)
