"""What is to be distributed: in<R>.txt folders, TOML files, the built-in demo.

Each rank opens the scenario when it starts, so the kinds that are not used are not imported.
"""

from __future__ import annotations

import os

from mpi_core.protocol.errors import one_line, reason
from mpi_core.protocol.roles import Roles
from tui_torrent.scenario.plan import ClientPlan, Scenario, Share, complaint

__all__ = ["ClientPlan", "Scenario", "Share", "one_line", "open_scenario", "wrong_size"]

_EXPECTED = "expected a folder of in<R>.txt files or a TOML file (*.toml)"


def open_scenario(path: str | None, clients: int) -> Scenario:
    """The scenario at ``path``; None is the demo, for so many ``clients``. Raises ScenarioError."""
    if path is None:
        from tui_torrent.scenario.demo import Demo

        return Demo(clients)
    try:
        if os.path.isdir(path):
            from tui_torrent.scenario.classic import ClassicScenario

            return ClassicScenario(path)
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise complaint(path, None, f"{_EXPECTED}, found nothing") from None
    except OSError as error:
        raise complaint(path, None, f"{_EXPECTED}: {reason(error)}") from None
    except ValueError:
        raise complaint(path, None, f"{_EXPECTED}, found a path that cannot be") from None
    if not path.lower().endswith(".toml"):
        raise complaint(path, None, f"{_EXPECTED}, found another file")
    from tui_torrent.scenario.toml import TomlScenario

    return TomlScenario(path)


def wrong_size(scenario: Scenario, roles: Roles) -> str | None:
    """The line that says which -np the scenario needs, or None where this one is right."""
    needed, given = scenario.client_count, roles.client_count
    if needed == given:
        return None
    clients = "1 client" if needed == 1 else f"{needed} clients"
    if roles.monitored:
        command = f"mpirun -np {needed + 2} (or -np {needed + 1} without --monitor)"
    else:
        command = f"mpirun -np {needed + 1} (or -np {needed + 2} with --monitor)"
    return (
        f"{one_line(scenario.description)} needs {clients}, "
        f"and -np {roles.size} leaves {max(given, 0) or 'none'}: run it with {command}"
    )
