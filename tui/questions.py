"""What several screens ask of the store."""

from collections.abc import Sequence

from core.alerting.silences import Silence
from core.events import AlertChanged
from tui.archive.figures import Component, Past, Spent, StoredType
from tui.lookups import Lookup

MINUTES: Lookup[Past] = Lookup("past 60", lambda archive: archive.past(60), every=20.0)
HOURS: Lookup[Past] = Lookup("past 3600", lambda archive: archive.past(3_600), every=120.0)
SPENT: Lookup[Spent] = Lookup("spent", lambda archive: archive.spent(), every=15.0)
TYPES: Lookup[Sequence[StoredType]] = Lookup("data_types", lambda archive: archive.data_types(), every=10.0)
COMPONENTS: Lookup[Sequence[Component]] = Lookup("components", lambda archive: archive.components(), every=10.0)
OPEN_ALERTS: Lookup[Sequence[AlertChanged]] = Lookup("open_alerts", lambda archive: archive.open_alerts(), every=5.0)
SILENCES: Lookup[Sequence[Silence]] = Lookup("silences", lambda archive: archive.silences(), every=5.0)
