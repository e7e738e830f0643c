#!/usr/bin/env python3
"""Makes train.tsv and test.tsv (language, phrase, the phrase in English) from CLDR by the PyPI package `babel` 2.19.0.

    pip install babel==2.19.0
    python3 make_translate_data.py [--out DIR]

A phrase is what CLDR's patterns make of a date with a time, a span of days, a list of amounts, a sum of money, a list of countries
or a time before or after now, drawn at random; it is written in one of ten languages and in English.
"""
import argparse, datetime, pathlib, random, re

import babel
from babel import Locale, dates, lists, numbers, units

DATA = pathlib.Path(__file__).resolve().parent.parent / "examples" / "training" / "data" / "translate"
TRAIN, TEST, SEED = 24000, 1000, 1
# A word, a digit or a mark, with the space before it.
TOKEN = r" ?(?:[^\W\d_]+|.)"
LANGUAGES = "de el es fr hu it ja pl ru tr".split()
# The longest phrase in characters, and the longest translation in words, digits and marks.
LONGEST, MOST = 40, 18
UNITS = """
length-kilometer length-meter length-centimeter length-millimeter length-mile mass-kilogram mass-gram mass-tonne
duration-year duration-month duration-week duration-day duration-hour duration-minute duration-second volume-liter
area-square-kilometer area-hectare speed-kilometer-per-hour digital-megabyte digital-gigabyte energy-kilowatt-hour
temperature-celsius
""".split()
CURRENCIES = "EUR USD GBP CHF JPY CNY INR BRL MXN CAD AUD SEK NOK DKK PLN CZK HUF RUB TRY UAH KRW EGP ZAR ARS".split()
COUNTRIES = """
AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE GB NO CH IS UA RS AL TR US CA MX BR AR CL PE CN JP
KR IN ID TH VN AU NZ EG MA DZ TN ET KE NG ZA
""".split()


def number(rng):
    """A number of one to four digits, with decimals now and then."""
    whole = rng.randrange(1, 10 ** rng.randrange(1, 5))
    return whole + rng.randrange(1, 10) / 10 if rng.random() < 0.3 else whole


def day(rng):
    return datetime.datetime(1950, 1, 1) + datetime.timedelta(minutes=rng.randrange(100 * 365 * 24 * 60))


# A kind draws what a phrase says and gives a function from a language to the phrase.


def moment(rng):
    when = day(rng)
    def write(language):
        glue = Locale(language).datetime_formats["full"]
        return glue.format(dates.format_time(when, "short", locale=language), dates.format_date(when, "full", language))
    return write


def span(rng):
    first = day(rng)
    last = first + datetime.timedelta(days=rng.randrange(1, 90))
    skeleton = rng.choice(["yMMMEd", "yMMMd"])
    return lambda language: dates.format_interval(first, last, skeleton, locale=language)


def amounts(rng):
    several = [(number(rng), rng.choice(UNITS)) for _ in range(rng.randrange(1, 4))]
    return lambda language: lists.format_list([units.format_unit(n, u, "long", locale=language) for n, u in several], locale=language)


def money(rng):
    amount, currency = rng.randrange(1, 10 ** rng.randrange(1, 8)) / 100, rng.choice(CURRENCIES)
    return lambda language: numbers.format_currency(amount, currency, locale=language, format_type="name")


def countries(rng):
    several = [rng.choice(COUNTRIES) for _ in range(rng.randrange(1, 5))]
    return lambda language: lists.format_list([Locale(language).territories[country] for country in several], locale=language)


def relative(rng):
    unit, seconds = rng.choice([("hour", 3600), ("day", 86400), ("week", 604800), ("minute", 60)])
    delta = datetime.timedelta(seconds=rng.choice([-1, 1]) * seconds * rng.randrange(2, 200))
    return lambda language: dates.format_timedelta(delta, unit, threshold=1e9, add_direction=True, locale=language)


KINDS = [moment, span, amounts, money, countries, relative]


def plain(text):
    """Spaces of all widths are spaces; marks of direction are none."""
    return re.sub(r"[\u200e\u200f]", "", re.sub(r"[\u00a0\u2009\u202f]", " ", text)).strip()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=DATA)
    a = p.parse_args()
    assert babel.__version__ == "2.19.0", babel.__version__
    rng = random.Random(SEED)
    pairs, seen = [], set()
    while len(pairs) < TRAIN + TEST:
        language = LANGUAGES[len(pairs) % len(LANGUAGES)]
        write = rng.choice(KINDS)(rng)
        phrase, english = plain(write(language)), plain(write("en"))
        # What a phrase says comes once: what is held out was not seen in any language.
        tokens = re.findall(TOKEN, english)
        if len(phrase) <= LONGEST and len(tokens) <= MOST and english not in seen:
            seen.add(english)
            pairs.append((language, phrase, english))
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    for name, part in (("test.tsv", pairs[:TEST]), ("train.tsv", pairs[TEST:])):
        (out / name).write_text("".join("\t".join(pair) + "\n" for pair in part), encoding="utf-8", newline="\n")
        print(name, len(part), "pairs,", (out / name).stat().st_size, "bytes")
    known = {token for _, _, english in pairs for token in re.findall(TOKEN, english)}
    print(len({c for _, phrase, _ in pairs for c in phrase}), "characters,", len(known), "tokens")


if __name__ == "__main__":
    main()
