"""Takes the README's picture: the real dashboard on the demo's sandbox, engine and jobs (`make picture`)."""

import asyncio
import re
import tempfile
from pathlib import Path

from core.cli.demo import demo_engine, submit_jobs
from core.events import JobChanged
from tui.app import Dashboard, DashboardOptions

SIZE = (120, 34)
WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a README's picture may load nothing
SEED = 7
WHEN_ROWS = 200_000


async def take(target: Path, store: Path) -> None:
    """Run the demo on `store`, wait until it is in full swing, save the screen as SVG."""
    with demo_engine(SEED, f"sqlite:///{store}") as child:
        await submit_jobs(child)
        options = DashboardOptions(read_only=False, theme="dark", ascii=False, mouse=False, owns_engine=True)
        app = Dashboard(child.connect, options)
        async with app.run_test(size=SIZE) as pilot:
            while _rows(app) < WHEN_ROWS:
                await asyncio.sleep(0.2)
            await pilot.pause()
            target.write_text(WEB_FONT.sub("", app.export_screenshot(title="Tapewatch")))


def _rows(app: Dashboard) -> int:
    return sum(job.rows_fetched for job in app.desk.state.jobs.values() if isinstance(job, JobChanged))


def main() -> None:
    target = Path(__file__).with_name("dashboard.svg")
    with tempfile.TemporaryDirectory(prefix="tw-picture-") as place:
        asyncio.run(take(target, Path(place) / "demo.db"))
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
