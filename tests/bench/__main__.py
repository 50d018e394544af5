"""All benchmarks, one after another: `make bench`. Figures are ratios to a floor of the same run."""

from tests.bench import dashboard, end_to_end, memory

end_to_end.main()
memory.main()
dashboard.main()
