from st2common.runners.base_action import Action


class Warehouse(Action):
    def __init__(self, config):
        super(Warehouse, self).__init__(config)
        self._shelves = config["shelves"]

    def shelves(self):
        return self._shelves["count"]

    def run(self):
        raise NotImplementedError
