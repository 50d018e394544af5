"""Peak memory of a 10-million-row ingest beside that of a 1-million-row ingest."""

from tests.bench.harness import PAIRS, canned_sandbox, ingest_command, measured, remove, workplace

SPANS = {1: ("2025-02-20T00:00:00Z", "2025-05-01T00:00:00Z"), 10: ("2023-06-06T00:00:00Z", "2025-05-01T00:00:00Z")}


def main() -> None:
    peaks = {}
    with canned_sandbox() as base_url, workplace() as place:
        for millions, (start, end) in SPANS.items():
            remove(place, "memory.db")
            run = measured(ingest_command(base_url, place, "memory.db", PAIRS, start, end), place)
            peaks[millions] = run.peak_mb
            print(f"peak memory, {run.printed['rows_inserted']:>12,} rows: {run.peak_mb:.0f} MB")
    print(f"  10 million / 1 million: {peaks[10] / peaks[1]:.2f}   goal: at most 1.20")


if __name__ == "__main__":
    main()
