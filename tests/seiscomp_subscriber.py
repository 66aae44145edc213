"""A client of a real messaging that writes down what it receives. Run as a program."""

import sys

from seiscomp import client, datamodel


class Subscriber(client.Application):
    def __init__(self, argv):
        super().__init__(len(argv), argv)
        self.setMessagingEnabled(True)
        self.setDatabaseEnabled(False, False)
        self.setMessagingUsername("")
        self.setPrimaryMessagingGroup(client.Protocol.LISTENER_GROUP)
        self.addMessagingSubscription("PICK")
        self.addMessagingSubscription("AMPLITUDE")
        self.file = None

    def init(self):
        if not super().init():
            return False
        self.file = open(PATH, "a", buffering=1)  # noqa: SIM115 - open as long as the program
        return True

    def handleMessage(self, message):
        super().handleMessage(message)
        for item in datamodel.NotifierMessage.Cast(message) or ():
            self.note(datamodel.Notifier.Cast(item))

    def note(self, notifier):
        made = notifier.object()
        kind = made.className()
        whole = datamodel.PublicObject.Cast(made)
        name = notifier.parentID() if whole is None else whole.publicID()
        print(kind, name, file=self.file)


PATH = sys.argv[1]
sys.exit(Subscriber([sys.argv[0], *sys.argv[2:]])())
