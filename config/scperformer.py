"""How `seiscomp` starts and stops scperformer."""

import seiscomp.kernel


class Module(seiscomp.kernel.Module):
    """The module and its aliases."""

    def __init__(self, env):
        super().__init__(env, env.moduleName(__file__))
        # Windows in hand are finished and picks that wait are sent before it ends.
        self.killTimeout = 15

    def updateConfigProxy(self):  # noqa: N802 - SeisComP's name, as below
        """Have the bindings written into the database, as those of all trunk modules."""
        return "trunk"

    def updateConfig(self):  # noqa: N802
        """Nothing else has to be written."""
        return 0

    def supportsAliases(self):  # noqa: N802
        """Aliases share a large network among machines."""
        return True
