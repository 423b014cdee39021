import sys

from lib.base import Warehouse


class CountAction(Warehouse):
    def run(self, thing, pieces):
        print("counting", thing)
        self.logger.info("counting %s", thing)
        if thing == "ghosts":
            return False, {"why": "nobody can count ghosts"}
        if thing == "broken":
            raise ValueError("a shelf broke")
        if thing == "exit":
            sys.exit(7)
        return True, {"thing": thing, "sum": sum(pieces), "shelves": self.shelves(),
                      "key": self.config["api_key"]}
