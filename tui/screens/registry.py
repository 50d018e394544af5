"""Which screen each tab leads to."""

from tui import actions
from tui.screens.alerts import AlertsScreen
from tui.screens.cache import CacheScreen
from tui.screens.data import DataScreen
from tui.screens.jobs import JobsScreen
from tui.screens.lists import HelpScreen
from tui.screens.live import LiveScreen
from tui.screens.schedules import SchedulesScreen
from tui.screens.system import SystemScreen

SCREENS: dict[str, type[LiveScreen]] = {
    screen.kind: screen
    for screen in (JobsScreen, DataScreen, AlertsScreen, CacheScreen, SchedulesScreen, SystemScreen, HelpScreen)
}
"""By kind; the overview is the one that is always there, below all others."""
assert actions.TABS.keys() - SCREENS.keys() == {actions.OVERVIEW}  # noqa: S101 - a tab leads somewhere
