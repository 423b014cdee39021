from st2common.runners.base_action import Action


class Greet(Action):
    def run(self, log, words):
        with open(log, "a") as file:
            file.write(words + "\n")
        return words
