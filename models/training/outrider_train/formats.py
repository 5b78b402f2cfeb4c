"""Which jurisdictions there are, how often a car in our cameras carries their plates, and how their texts look.

A pattern is written with l (letter), a (letter without I, O, Q), d (digit), x (either); capitals, digits, blank, '-' stand
for themselves. Weights follow vehicles in use, roughly, so that common formats are seen most; passenger formats only.
"""

import dataclasses

import numpy as np

LETTERS, CLEAR, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789"
_SETS = {"l": LETTERS, "a": CLEAR, "d": DIGITS, "x": LETTERS + DIGITS}
RARE = {"I": 0.2, "O": 0.5, "Q": 0.5}
"""How often a letter that a North American pattern would have is drawn again: most states leave it out of series."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A jurisdiction: code, weight, patterns; what stands above and below; ink and background (BGR), None = any."""

    code: str
    weight: float
    patterns: tuple[str, ...]
    top: str = ""
    bottom: str = ""
    ink: tuple[int, int, int] | None = None
    back: tuple[int, int, int] | None = None


BLUE, GREEN, RED, BLACK, NAVY = (130, 50, 20), (60, 90, 10), (40, 30, 190), (25, 25, 25), (90, 35, 25)
WHITE, CREAM, YELLOW = (245, 245, 245), (215, 235, 240), (40, 200, 245)


def _p(code, weight, patterns, top="", bottom="", ink=None, back=None) -> Place:
    return Place(code, weight, tuple(patterns.split(",")), top, bottom, ink, back)


CANADA = [
    _p(
        "CA-ON",
        14,
        "Caaa ddd,Caaa-ddd,Baaa ddd,Daaa ddd,Aaaa ddd,aaa ddd,ddd aaa,GVaa ddd",
        "ONTARIO",
        "YOURS TO DISCOVER",
        BLUE,
        WHITE,
    ),
    _p("CA-QC", 8, "l dd lll,ldd lll,ddd lll,lll ddd,Fll dddd", "Québec", "Je me souviens", BLUE, WHITE),
    _p("CA-BC", 5, "ll d ddl,lld ddl,lll ddd,ddd lll,lldddl", "British Columbia", "Beautiful", BLUE, WHITE),
    _p("CA-AB", 4, "Caa-dddd,Baa dddd,aaa-ddd,aaa dddd", "Alberta", "Wild Rose Country", RED, WHITE),
    _p("CA-MB", 2, "aaa ddd", "Manitoba", "FRIENDLY", NAVY, None),
    _p("CA-SK", 2, "ddd aaa", "Saskatchewan", "LAND OF LIVING SKIES", GREEN, WHITE),
    _p("CA-NS", 1.5, "aaa ddd", "NOVA SCOTIA", "CANADA'S OCEAN PLAYGROUND", BLUE, WHITE),
    _p("CA-NB", 1.2, "aaa ddd", "New Brunswick", "NOUVEAU", RED, WHITE),
    _p("CA-NL", 0.8, "aaa ddd", "Newfoundland & Labrador", "", BLUE, WHITE),
    _p("CA-PE", 0.4, "dd ddaa,ddd aa", "Prince Edward Island", "", BLUE, WHITE),
    _p("CA-YT", 0.2, "aaa dd", "YUKON", "THE KLONDIKE", None, None),
    _p("CA-NT", 0.2, "ddd ddd,dddddd", "NORTHWEST TERRITORIES", "SPECTACULAR", BLUE, WHITE),
]
STATES = [
    _p("US-CA", 9, "daladdd,daladdd,dlllddd,ddddddl,dlddddd", "California", "dmv.ca.gov", BLUE, WHITE),
    _p("US-TX", 7, "lll dddd,lll-dddd,lld-lddd,lld lddd", "TEXAS", "The Lone Star State", BLACK, WHITE),
    _p("US-FL", 5, "lll ldd,ldd dll,ddd lll,lldd ll,dddd ll,lll dll", "MYFLORIDA.COM", "SUNSHINE STATE", GREEN, WHITE),
    _p("US-NY", 4, "lll dddd,lll-dddd", "NEW YORK", "EMPIRE STATE", NAVY, (70, 190, 240)),
    _p("US-PA", 3, "lll dddd,lll-dddd", "PENNSYLVANIA", "visitPA.com", NAVY, None),
    _p("US-IL", 3, "ll ddddd,ddd dddd,l dd dddd,lddd ddd,dddd ddd", "Illinois", "Land of Lincoln", None, None),
    _p("US-OH", 3, "lll dddd,lll-dddd,ll dd ll", "OHIO", "BIRTHPLACE OF AVIATION", None, WHITE),
    _p("US-GA", 2.5, "lll dddd,dddd lll,ddd lll", "Georgia", "ON MY MIND", BLACK, WHITE),
    _p("US-NC", 2.5, "lll-dddd,lll dddd", "NORTH CAROLINA", "First in Flight", BLUE, WHITE),
    _p("US-MI", 2.5, "lll dddd,dll ddd,dll ldd,ddd lll", "Michigan", "PURE MICHIGAN", BLUE, WHITE),
    _p("US-NJ", 2, "ldd lll,lll ddl,ldd-lll,lll-ddl", "NEW JERSEY", "Garden State", BLACK, (170, 230, 240)),
    _p("US-VA", 2, "lll-dddd,lll dddd,ll-ddddl", "VIRGINIA", "", BLUE, WHITE),
    _p("US-WA", 2, "lll dddd,llldddd,ddd-lll,ddd lll", "WASHINGTON", "EVERGREEN STATE", NAVY, None),
    _p("US-AZ", 1.8, "lll dddd,aaadaa,lla ddda,ddd-lll", "ARIZONA", "GRAND CANYON STATE", GREEN, None),
    _p("US-MA", 1.6, "dlll dd,ddd lld,dll ddd,ddddll", "MASSACHUSETTS", "The Spirit of America", RED, WHITE),
    _p("US-TN", 1.5, "ldd-ddl,lll dddd,lll-ddl,ddd lll", "TENNESSEE", "THE VOLUNTEER STATE", NAVY, None),
    _p("US-IN", 1.5, "ddd lll,dddlll,ddd l,dddll", "INDIANA", "IN GOD WE TRUST", NAVY, None),
    _p("US-MO", 1.4, "lld lld,ll d ldl,lld ldl", "MISSOURI", "SHOW-ME STATE", BLUE, WHITE),
    _p("US-MD", 1.4, "dll dddd,dlldddd,lll ddd", "MARYLAND", "www.maryland.gov", BLACK, WHITE),
    _p("US-WI", 1.4, "lll-dddd,ddd-lll", "Wisconsin", "America's Dairyland", RED, WHITE),
    _p("US-MN", 1.3, "lll ddd,lll-ddd,ddd lll,ddd-lll", "Minnesota", "10,000 lakes", NAVY, None),
    _p("US-CO", 1.3, "lll-ddd,lll-ldd,ddd-lll", "COLORADO", "", WHITE, (70, 110, 30)),
    _p("US-AL", 1.2, "dlddddd,ddldddd,d ddl ddd,ddl dddl", "Alabama", "Heart of Dixie", None, None),
    _p("US-SC", 1.2, "lll ddd,ddd lll", "SOUTH CAROLINA", "While I Breathe, I Hope", NAVY, None),
    _p("US-LA", 1, "ddd lll,lll ddd", "LOUISIANA", "SPORTSMAN'S PARADISE", None, None),
    _p("US-KY", 1, "ddd lll,ddd-lll,lld ddd", "Kentucky", "UNBRIDLED SPIRIT", BLUE, None),
    _p("US-OR", 1, "ddd lll,lll ddd", "OREGON", "", NAVY, None),
    _p("US-OK", 1, "lll-ddd,lll ddd", "OKLAHOMA", "NATIVE AMERICA", None, None),
    _p("US-CT", 0.9, "ll ddddd,lldddd,ddd lll,ddd-lll", "CONNECTICUT", "Constitution State", NAVY, None),
    _p("US-UT", 0.8, "ldd dll,lll ddd,ddd lll", "UTAH", "GREATEST SNOW ON EARTH", None, None),
    _p("US-IA", 0.8, "lll ddd,ddd lll", "IOWA", "POLK", NAVY, None),
    _p("US-NV", 0.8, "ddd-lll,ddl-ddd,dddlll,dd lddd", "NEVADA", "HOME MEANS NEVADA", BLUE, None),
    _p("US-AR", 0.7, "ddd lll,lll ddl", "Arkansas", "The Natural State", None, None),
    _p("US-MS", 0.7, "lll ddd,lll dddd,lld ddd", "Mississippi", "HINDS", None, None),
    _p("US-KS", 0.7, "ddd lll,dddd lll", "KANSAS", "to the stars", NAVY, None),
    _p("US-NM", 0.5, "lll-ddd,ddd lll,lll lddd", "New Mexico USA", "Land of Enchantment", RED, (60, 200, 240)),
    _p("US-NE", 0.5, "lll ddd,dd-lddd,d-lddd", "NEBRASKA", "", None, WHITE),
    _p("US-ID", 0.5, "dl ddddd,l dddddd,dl dddl", "IDAHO", "FAMOUS POTATOES", BLUE, None),
    _p("US-WV", 0.4, "dll ddd,ldl ddd,ddl ddd", "West Virginia", "Wild, Wonderful", NAVY, None),
    _p("US-HI", 0.4, "lll ddd", "HAWAII", "ALOHA STATE", BLACK, None),
    _p("US-NH", 0.4, "ddd dddd,ddd ddd", "NEW HAMPSHIRE", "LIVE FREE OR DIE", GREEN, None),
    _p("US-ME", 0.4, "dddd ll,dddddd,ddd ll", "Maine", "Vacationland", None, WHITE),
    _p("US-RI", 0.3, "ll-ddd,ddd-ddd,lldddd,1ll ddd", "Rhode Island", "Ocean State", NAVY, None),
    _p("US-MT", 0.3, "d-ddddl,llldll,dd-dddd", "MONTANA", "TREASURE STATE", None, None),
    _p("US-DE", 0.3, "dddddd,ddd ddd", "DELAWARE", "THE FIRST STATE", (50, 190, 230), NAVY),
    _p("US-SD", 0.2, "dld ddd,dll ddd", "SOUTH DAKOTA", "GREAT FACES. GREAT PLACES.", None, None),
    _p("US-ND", 0.2, "ddd lll", "NORTH DAKOTA", "LEGENDARY", None, None),
    _p("US-AK", 0.2, "lll ddd", "ALASKA", "THE LAST FRONTIER", BLUE, (50, 190, 240)),
    _p("US-DC", 0.2, "ll dddd", "WASHINGTON, D.C.", "TAXATION WITHOUT REPRESENTATION", NAVY, WHITE),
    _p("US-VT", 0.2, "lll ddd", "VERMONT", "GREEN MOUNTAIN STATE", WHITE, (50, 100, 20)),
    _p("US-WY", 0.6, "d ddddd,dd ddd,d ddd,dd ddda,d dddda", "WYOMING", "FOREVER WEST", None, None),
]
EUROPE = [
    _p("GB", 4, "lldd lll,lddd lll,lll dddl"),
    _p("DE", 4, "l ll ddd,ll l dddd,lll ll dd,l lddd,ll ll ddd,l-ll dddd,ll-l ddd,ll-ll dd,lll-l dddd"),
    _p("FR", 3, "aa-ddd-aa,aa ddd aa,dddd aa dd,ddd aaa dd"),
    _p("IT", 3, "aa dddaa,aa ddd aa,aadddaa"),
    _p("ES", 2, "dddd aaa,dddd-aaa,l dddd aa"),
    _p("PL", 2, "ll ddddd,lll dddd,ll dddl,lll lddd,ll ddddl,lll ddll,l dlll"),
    _p("RO", 2.5, "ll dd lll,B ddd lll,B dd lll,ll-dd-lll"),
    _p("NL", 1.5, "aa-ddd-a,a-ddd-aa,dd-aaa-d,dd-aa-aa,aa-dd-aa,d-aaa-dd,aa-aa-dd"),
    _p("CZ", 1.5, "dad dddd,daa dddd,dad ddddd"),
    _p("SK", 1.5, "ll dddll,ll ddd ll,ll-dddll"),
    _p("HU", 1, "lll-ddd,ll ll-ddd"),
    _p("AT", 1, "l ddddl,ll dddll,l ddddd l,ll ddd ll"),
    _p("CH", 0.8, "ll dddddd,ll ddddd,ll dddd"),
    _p("SE", 0.8, "aaa ddd,aaa dda"),
    _p("NO", 0.6, "ll ddddd,ll dddd"),
    _p("DK", 0.6, "ll dd ddd,ll ddddd"),
    _p("FI", 0.5, "lll-ddd,lll-dd"),
    _p("PT", 0.7, "dd-ll-dd,ll-dd-ll,dd-dd-ll"),
    _p("BE", 0.8, "d-lll-ddd,lll-ddd"),
    _p("IE", 0.4, "dd-l-ddddd,ddd-l-dddd,dd-ll-ddd"),
    _p("HR", 0.6, "ll ddd-ll,ll dddd-l,ll dddd-ll"),
    _p("LT", 0.4, "lll ddd"),
    _p("LV", 0.3, "ll-dddd,ll dddd"),
    _p("EE", 0.3, "ddd lll"),
    _p("BG", 0.8, "l dddd ll,ll dddd ll"),
    _p("GR", 0.6, "lll-dddd"),
    _p("UA", 0.7, "ll dddd ll,ll dddd-ll"),
    _p("RS", 0.5, "ll ddd-ll,ll dddd-ll"),
    _p("BY", 0.3, "dddd ll-d"),
    _p("LU", 0.2, "ll dddd"),
    _p("AD", 0.1, "l dddd"),
    _p("IL", 1, "dd-ddd-dd,ddd-dd-ddd"),
]
BRAZIL = [_p("BR", 6, "lll-dddd,lll dddd"), _p("BR", 4, "llldldd,llldldd")]
OLD_AND_RARE = tuple(
    "lll dddd|lll-dddd|lll ddd|ddd lll|dlllddd|llllddd|llll ddd|ddd-lll|llddddd|dddddd|ddddddd|ddddd|ldd dddd|lld ldl|"
    "ldd lld|dd lddd|dll ddd|ll dddd|ll ddddd|dddd ll|lll dld|ldl ddd|d llddd|lddddd|lld ddl|lddlll|ddldddd|llldd|"
    "lxxxxx|xxxxxx|xxxxxxx|xxx xxx|lllllll|llllll|lllll|llll|lllddd|xxxxx|xxxx|ll lll|lll lll|l lll|dlll|llldl|ddllll".split(
        "|"
    )
)
"""Further shapes of North American plates, without a jurisdiction: special, old and vanity plates."""
WORDS = tuple(
    "GO LEAFS TOY MY BABY LUV GOLF ROCK COOL DAD MOM FAST SUN SKI FISH CAT DOG HERO BOSS KING QUEEN ANGEL NINJA RACER FOXY "
    "LOVE PEACE HAPPY SMILE BEACH SURF YODA JEDI NERD GEEK CODE RN DR DOC ESQ FLY PILOT NAVY ARMY USMC MARINE VET TEACH "
    "GRAN PAPA NANA POPS JACK KATE MIKE ANNA ZOE MAX LEO SAM BOB JIM KIM QUILT BIKER HOTROD CUGAR IMOK OUI ZOOM GR8 L8R 4U 2".split()
)


EVENLY = 0.3
"""Share of plates whose jurisdiction is drawn evenly: the drivers of small places are misread no oftener for being few."""


def choose(places: list[Place], rng: np.random.Generator) -> Place:
    """One of `places`, by weight or evenly."""
    weights = np.array([p.weight for p in places])
    return places[int(rng.choice(len(places), p=(1 - EVENLY) * weights / weights.sum() + EVENLY / len(places)))]


def fill(pattern: str, rng: np.random.Generator, rare: dict[str, float] | None = None) -> str:
    """A pattern with its placeholders drawn: 'aaa ddd' -> 'BXC 401'; `rare` is RARE for North America."""

    def draw(c: str) -> str:
        drawn = _SETS[c][int(rng.integers(len(_SETS[c])))]
        return draw(c) if rare and rng.random() < rare.get(drawn, 0) else drawn

    return "".join(draw(c) if c in _SETS else c for c in pattern)


def vanity(rng: np.random.Generator) -> str:
    """Words and numbers run together, two to eight characters."""
    text = ""
    while not 2 <= len(text.replace(" ", "")) <= 8:
        parts = [str(rng.choice(WORDS)) for _ in range(int(rng.integers(1, 3)))]
        if rng.random() < 0.4:
            parts.insert(int(rng.integers(len(parts) + 1)), str(rng.integers(1, 99)))
        text = (" " if rng.random() < 0.3 else "").join(parts)
    return text
