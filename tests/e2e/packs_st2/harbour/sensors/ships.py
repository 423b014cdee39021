import os

from st2reactor.sensor.base import PollingSensor


class ShipsSensor(PollingSensor):
    def __init__(self, sensor_service, config, poll_interval=5):
        super(ShipsSensor, self).__init__(sensor_service=sensor_service, config=config,
                                          poll_interval=poll_interval)
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)

    def setup(self):
        self._logger.info("looks at %s", self.config["berth"])
        print("the password is %s" % self.config.get("password"))

    def poll(self):
        seen = (self.sensor_service.get_value("seen") or "").split(",")
        for name in sorted(os.listdir(self.config["berth"])):
            if name in seen:
                continue
            self.sensor_service.dispatch(trigger="harbour.ship", payload={"name": name})
            seen.append(name)
        self.sensor_service.set_value("seen", ",".join(seen))

    def cleanup(self):
        pass

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass
