"""Takes the README's pictures: the real dashboard on the demo's sandbox, engine and jobs (`make picture`)."""

import asyncio
import re
import tempfile
from pathlib import Path

from core.cli.archive import archive_of
from core.cli.demo import demo_engine, submit_jobs
from core.events import JobChanged
from tui.app import Dashboard, DashboardOptions

SIZE = (120, 34)
WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a README's picture may load nothing
SEED = 7
WHEN_ROWS = 200_000
ANSWER_SECONDS = 3.0  # what is asked of the store has come by then


PICTURES = {"dashboard": "1", "dashboard_jobs": "2", "dashboard_data": ("3", "s", *"rows", "enter", "S")}
"""Files, and the keys that lead to what they show."""


async def take(folder: Path, store: Path) -> None:
    """Run the demo on `store`, wait until it is in full swing, save screens as SVG."""
    with demo_engine(SEED, f"sqlite:///{store}") as child:
        await submit_jobs(child)
        options = DashboardOptions(mouse=False, owns_engine=True)
        app = Dashboard(child.connect, options, archive=archive_of(child.loaded))
        async with app.run_test(size=SIZE) as pilot:
            while _rows(app) < WHEN_ROWS:
                await asyncio.sleep(0.2)
            for name, keys in PICTURES.items():
                await pilot.press(*keys)
                await asyncio.sleep(ANSWER_SECONDS)
                await pilot.press("g")
                (folder / f"{name}.svg").write_text(WEB_FONT.sub("", app.export_screenshot(title="Tapewatch")))


def _rows(app: Dashboard) -> int:
    return sum(job.rows_fetched for job in app.desk.state.jobs.values() if isinstance(job, JobChanged))


def main() -> None:
    folder = Path(__file__).parent
    with tempfile.TemporaryDirectory(prefix="tw-picture-") as place:
        asyncio.run(take(folder, Path(place) / "demo.db"))
    print(f"wrote {', '.join(PICTURES)} to {folder}")


if __name__ == "__main__":
    main()
