"""The crowd: several hundred plain customers of all the world, and a few with the usual trouble."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from service.demo.message import Clerk, Json, Message


@dataclass(frozen=True, slots=True)
class Town:
    """Where a customer is at home, and how companies are called there."""

    country: str
    name: str
    form: str


TOWNS = tuple(
    Town(*line.split("|"))
    for line in (
        "GB|Leeds|Ltd",
        "GB|Bristol|plc",
        "JP|Osaka|KK",
        "JP|Nagoya|KK",
        "DE|Bremen|GmbH",
        "DE|Leipzig|AG",
        "FR|Lyon|SAS",
        "FR|Nantes|SA",
        "US|Denver|Inc",
        "US|Portland|LLC",
        "US|Atlanta|Inc",
        "CA|Toronto|Ltd",
        "BR|Recife|Ltda",
        "MX|Puebla|SA de CV",
        "CL|Valparaíso|SpA",
        "IN|Pune|Pvt Ltd",
        "IN|Chennai|Pvt Ltd",
        "KR|Busan|Co",
        "TW|Tainan|Co",
        "SG|Jurong|Pte Ltd",
        "AU|Perth|Pty Ltd",
        "NZ|Napier|Ltd",
        "KE|Mombasa|Ltd",
        "GH|Kumasi|Ltd",
        "ZA|Durban|Pty Ltd",
        "PL|Łódź|sp. z o.o.",
        "CZ|Brno|s.r.o.",
        "SE|Malmö|AB",
        "FI|Turku|Oy",
        "IT|Torino|srl",
        "ES|Málaga|SL",
        "NL|Utrecht|BV",
        "GR|Patra|AE",
        "IL|Haifa|Ltd",
        "TH|Chiang Mai|Co",
        "PH|Cebu|Inc",
    )
)
TRADES = (
    *("Bakeries", "Ceramics", "Dental", "Ferries", "Gardens", "Insurance", "Journals", "Kitchens", "Law", "Museums"),
    *("Optics", "Paper", "Recruiting", "Schools", "Textiles", "Travel", "Vineyards", "Weather", "Yachts", "Archives"),
)
FIRST = ("Ada", "Bola", "Chiara", "Dmitar", "Emi", "Farid", "Grace", "Hana", "Ivo", "Jun", "Kofi", "Lena", "Mateo")
LAST = ("Abara", "Berg", "Costa", "Dvořák", "Eze", "Fontaine", "García", "Haas", "Ito", "Jansen", "Kaur", "Lund")
WISHES: tuple[list[Json] | None, ...] = (
    [{"model": "sonata-4", "delivery": "api"}],
    [{"model": "sonata-4", "delivery": "api"}, {"model": "crm-assistant", "delivery": "api"}],
    [{"model": "fable-5", "delivery": "api"}],
    [{"model": "fable-5", "delivery": "api"}, {"model": "sonata-4", "delivery": "api"}],
    [{"model": "mythos-5", "delivery": "api"}, {"model": "sonata-4", "delivery": "api"}],
    None,
)
CURRENCIES = {"GB": "GBP", "JP": "JPY", "US": "USD", "CA": "CAD", "AU": "AUD"}
TROUBLE = 0.06
"""The share of the crowd with the usual trouble."""


def crowd(clerk: Clerk, random: Random, *, customers: int, act: int, first_number: int) -> Iterator[Message]:
    """The events of so many customers within one act, each customer's own in order."""
    for number in range(first_number, first_number + customers):
        yield from _customer(clerk, random, number, act)


def account(town: Town, account_id: str, name: str, **fields: object) -> Json:
    """A plainly fine organization: name, headquarters, billing country and network address."""
    return {
        "account_id": account_id,
        "version": 1,
        "legal_name": name,
        "type": "organization",
        "registered_in": town.country,
        "organized_in": town.country,
        "headquartered_in": town.country,
        "billing_in": town.country,
        "location_evidence": [seen(town.country, kind="business", share="96.5", days=24)],
        "channel": "direct",
        **fields,
    }


def seen(place: str, *, kind: str, share: str | None = None, days: int | None = None) -> Json:
    """One observation of where an account is used from."""
    return {"place": place, "source": "gateway", "share": share, "days_seen": days, "kind": kind}


def user(account_id: str, user_id: str, name: str, country: str, **fields: object) -> Json:
    """An employee and citizen of one country, who is there."""
    return {
        "account_id": account_id,
        "user_id": user_id,
        "version": 1,
        "name": name,
        "citizenships": [{"country": country, "since": "1988-03-01"}],
        "permanent_residencies": [],
        "us_status": "citizen" if country == "US" else "none",
        "located_in": country,
        "employer_relation": "employee",
        **fields,
    }


def contract(account_id: str, contract_id: str, country: str, value: str, **fields: object) -> Json:
    """A contract delivered where the customer is."""
    return {
        "account_id": account_id,
        "contract_id": contract_id,
        "version": 1,
        "value": value,
        "currency": CURRENCIES.get(country, "EUR"),
        "starts_on": "2026-01-01",
        "ends_on": "2027-12-31",
        "deliver_to": [country],
        **fields,
    }


def _customer(clerk: Clerk, random: Random, number: int, act: int) -> Iterator[Message]:
    town = random.choice(TOWNS)
    account_id = f"acct-{number:04d}"
    name = f"{town.name} {random.choice(TRADES)} {number} {town.form}"
    wish = random.choice(WISHES)
    picture = account(town, account_id, name, **({} if wish is None else {"items": wish}))
    if random.random() < TROUBLE:
        picture |= _trouble(random, town)
    later = random.choices(("user", "contract", "update"), k=random.randrange(4))
    moments = iter(sorted(act + random.random() for _ in range(1 + len(later))))
    yield clerk.event(next(moments), "account.signed_up.v1", picture)
    for index, kind in enumerate(later, start=1):
        event_type, data = _later(random, kind, index, picture)
        yield clerk.event(next(moments), event_type, data)


def _later(random: Random, kind: str, index: int, picture: Json) -> tuple[str, Json]:
    account_id, country = str(picture["account_id"]), str(picture["organized_in"] or "GB")
    if kind == "user":
        person = f"{random.choice(FIRST)} {random.choice(LAST)}"
        return "user.joined.v1", user(account_id, f"user-{index}", person, country)
    if kind == "contract":
        value = f"{random.randrange(2, 400)}000.00"
        return "contract.signed.v1", contract(account_id, f"contract-{index}", country, value)
    return "account.updated.v1", picture | {"version": index + 1, "payment_terms_days": 30}


def _trouble(random: Random, town: Town) -> Json:
    """What compliance sees every week; each is held or denied by a rule of the baseline."""
    troubles: tuple[Json, ...] = (
        {"registered_in": None, "organized_in": None, "headquartered_in": None, "billing_in": None},
        {"legal_name": None},
        {"billing_in": "Germany"},
        {"location_evidence": [seen(town.country, kind="anonymizer", share="100", days=20)]},
        {"owners_disclosed": False},
        {"end_uses": ["mass_surveillance"]},
        {"items": [{"model": "fable-6-preview", "delivery": "api"}]},
        {"headquartered_in": "CU", "registered_in": "CU", "organized_in": "CU", "billing_in": "CU"},
    )
    return random.choice(troubles)
