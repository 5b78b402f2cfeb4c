"""The designs of the plates that carry their jurisdiction's name: name, colours, slogan, what else is on them.

Public knowledge, written down from memory and from the training pictures of both packs; colours are about right.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Look:
    """One design: name and its colour, colours of the ground from top to bottom, ink, slogan; what else is on it."""

    name: str
    tint: str
    ground: str
    ink: str
    slogan: str = ""
    low: str = ""
    extras: str = ""
    """Words: script, caps, serif (how the name is written); b:COLOUR:Y0:Y1 a band; e:COLOUR:X an emblem at a share of the
    width; hills:COLOUR; rainbow; low (the name stands below, the slogan above)."""


def _l(*fields: str) -> Look:
    return Look(*fields)


NORTH_AMERICA: dict[str, tuple[Look, ...]] = {
    "US-AL": (
        _l("Alabama", "c0202a", "9fc8ea ffffff cfe3c0", "1c2d5c", "Sweet Home", "1c2d5c", "script hills:4a8a4a"),
        _l("Alabama", "b02030", "ffffff", "1c2d5c", "Heart of Dixie", "b02030", "e:c03040:0.2"),
        _l("Alabama", "123a6a", "6fb4d8 d8eef5 f2efe0", "101828", "Heart of Dixie", "123a6a", "script"),
    ),
    "US-AK": (
        _l("ALASKA", "1d3a8a", "f0b828", "1d3a8a", "The Last Frontier", "1d3a8a", "caps"),
        _l("ALASKA", "1d3a8a", "f4c23a", "1d3a8a", "The Last Frontier", "1d3a8a", "caps e:1d3a8a:0.5"),
        _l("ALASKA", "203060", "a8d0e8 e8f0f4", "203060", "CELEBRATING STATEHOOD", "203060", "caps"),
    ),
    "US-AZ": (
        _l("ARIZONA", "ffffff", "6a4a8a a888b0 e8c8a8", "1a3a2a", "GRAND CANYON STATE", "1a3a2a", "caps hills:7a5a8a"),
        _l(
            "ARIZONA",
            "5a3a7a",
            "c8b8d8 f0e8e0 e8b088",
            "1a3a2a",
            "GRAND CANYON STATE",
            "5a3a7a",
            "caps hills:9a6a7a e:1a5a3a:0.5",
        ),
        _l("ARIZONA", "ffffff", "7a1f2a", "ffffff", "GRAND CANYON STATE", "ffffff", "caps"),
    ),
    "US-AR": (
        _l("Arkansas", "c02030", "ffffff", "1c2d6c", "The Natural State", "c02030", "script"),
        _l("ARKANSAS", "203a7a", "e8eef4 ffffff d8e8d8", "a01828", "The Natural State", "203a7a", "caps e:9ac0d8:0.5"),
        _l("ARKANSAS", "183a60", "d8e8f4 ffffff", "101830", "The Natural State", "183a60", "serif"),
    ),
    "US-CA": (
        _l("California", "c8202c", "ffffff", "1d3a78", "dmv.ca.gov", "1d3a78", "script"),
        _l("California", "c8202c", "fafafa", "243a80", "", "", "script"),
        _l("CALIFORNIA", "f0c030", "12346a", "f0c030", "", "", "caps"),
        _l("CALIFORNIA", "b02838", "fafafa", "243a80", "", "", "caps"),
        _l("California", "203a80", "fafafa", "243a80", "The Golden State", "f0a020", "script e:f0b030:0.5"),
        _l("CALIFORNIA", "e8b020", "101010", "e8b020", "", "", "caps"),
    ),
    "US-CO": (
        _l("COLORADO", "1a5a3a", "ffffff ffffff 1a5a3a", "ffffff", "", "", "caps hills:1a5a3a"),
        _l("COLORADO", "ffffff", "1a5a3a 1a5a3a", "ffffff", "", "", "caps low hills:155030 b:f4f4f4:0:0.2"),
        _l("COLORADO", "1a5a3a", "f4f6f4 f4f6f4 7aa88a", "1a5a3a", "", "", "caps"),
    ),
    "US-CT": (
        _l("Connecticut", "1c3468", "5aa0d8 b8d8ee ffffff", "1c3468", "Constitution State", "1c3468", "script"),
        _l("CONNECTICUT", "1c3468", "78b4e0 ffffff", "1c3468", "Constitution State", "1c3468", "serif e:1c3468:0.1"),
        _l("CONNECTICUT", "ffffff", "1c3a78", "ffffff", "CONSTITUTION STATE", "ffffff", "caps"),
    ),
    "US-DE": (
        _l("DELAWARE", "e8b830", "14284e", "e8b830", "THE FIRST STATE", "e8b830", "caps low"),
        _l("THE FIRST STATE", "e8b830", "14284e", "e8b830", "DELAWARE", "e8b830", "caps"),
    ),
    "US-DC": (
        _l(
            "WASHINGTON, D.C.",
            "1c2d6c",
            "ffffff",
            "1c2d6c",
            "TAXATION WITHOUT REPRESENTATION",
            "1c2d6c",
            "caps b:c02838:0.02:0.06",
        ),
        _l("WASHINGTON, DC", "c02838", "f8f8f8", "1c2d6c", "CELEBRATE & DISCOVER", "1c2d6c", "caps e:c02838:0.5"),
        _l("Washington, DC", "1c2d6c", "f8f8f8", "1c2d6c", "Taxation Without Representation", "c02838", "serif e:c02838:0.5"),
    ),
    "US-FL": (
        _l("MYFLORIDA.COM", "1a6a3a", "ffffff e8f2e0 ffffff", "1a6a3a", "SUNSHINE STATE", "1a6a3a", "caps e:e88a28:0.5"),
        _l("FLORIDA", "1a6a3a", "ffffff", "1a6a3a", "SUNSHINE STATE", "1a6a3a", "caps e:e88a28:0.5"),
        _l("Florida", "c86a28", "f8f4e8 ffffff", "1a6a3a", "Sunshine State", "c86a28", "serif e:e88a28:0.5"),
        _l("MYFLORIDA.COM", "1a6a3a", "f4f8f0", "1a6a3a", "IN GOD WE TRUST", "1a6a3a", "caps e:e88a28:0.5"),
    ),
    "US-GA": (
        _l("GEORGIA", "101010", "ffffff f8e0c8 e8c8a0", "101010", "GWINNETT", "101010", "caps e:e88850:0.5"),
        _l("Georgia", "a02a38", "ffffff", "101828", "...on my mind", "a02a38", "serif e:e88850:0.5"),
        _l("GEORGIA", "203a5a", "d8e8f0 f8f4e8 f0c8a0", "183048", "COBB", "203a5a", "serif e:e8a070:0.85"),
        _l("www.georgia.gov", "203a5a", "d0dce8 f4f4f0", "183048", "FULTON", "203a5a", "caps"),
    ),
    "US-HI": (
        _l("HAWAII", "b02838", "ffffff", "101010", "ALOHA STATE", "b02838", "caps rainbow"),
        _l("HAWAII", "101010", "f8f8f8", "101010", "ALOHA STATE", "101010", "caps rainbow"),
    ),
    "US-ID": (
        _l("IDAHO", "1c2d6c", "c83a48 f4e8ea 4878b8", "141c40", "FAMOUS POTATOES", "ffffff", "caps hills:2a3a6a"),
        _l("SCENIC IDAHO", "ffffff", "c02838 f0d8dc 7aa0d0", "141c40", "FAMOUS POTATOES", "1c2d6c", "caps hills:304a80"),
        _l("IDAHO", "a02030", "e0a0a8 ffffff 88b0dc", "1a2450", "FAMOUS POTATOES", "1a2450", "serif"),
    ),
    "US-IL": (
        _l("Illinois", "203a8a", "ffffff e8f0f8 ffffff", "b02030", "Land of Lincoln", "203a8a", "script"),
        _l("Illinois", "203a8a", "c8dcf0 ffffff c8dcf0", "b02030", "Land of Lincoln", "203a8a", "script e:a8b8c8:0.5"),
        _l("ILLINOIS", "203a8a", "ffffff", "203a8a", "LAND OF LINCOLN", "203a8a", "caps"),
    ),
    "US-IN": (
        _l("INDIANA", "e8c040", "1c2d5c 1c2d5c 1c2d5c", "ffffff", "IN GOD WE TRUST", "e8c040", "caps"),
        _l("INDIANA", "1c3a7a", "e8d8a8 f8f0d8 ffffff", "1c3a7a", "LINCOLN'S BOYHOOD HOME", "1c3a7a", "caps"),
        _l("Indiana", "1c3a7a", "a8c8e8 f0f4f8", "1c3a6a", "The Crossroads of America", "1c3a7a", "serif e:e8c040:0.15"),
        _l("INDIANA", "24407a", "ccd8e8 f4f0e0 d8c8a0", "24407a", "www.in.gov", "24407a", "caps b:24407a:0:0.2"),
    ),
    "US-IA": (
        _l("IOWA", "1c3a6a", "8ac0e8 d8ecf8 ffffff", "14284e", "POLK", "1c3a6a", "caps hills:88a8b8"),
        _l("IOWA", "1c3a6a", "c8e0f0 f0f4f8 d8e4d0", "14284e", "LINN", "1c3a6a", "serif hills:7a98a8"),
        _l("IOWA", "f8f8f8", "2a4a8a", "f8f8f8", "SCOTT", "f8f8f8", "caps"),
    ),
    "US-KS": (
        _l("KANSAS", "1c3468", "a8cce8 e0eef8", "1c3468", "", "", "caps e:8ab0d8:0.5"),
        _l("KANSAS", "1c3468", "b8d4ec f4f8fa", "1c3468", "to the stars", "1c3468", "caps e:98b8d8:0.75"),
        _l("KANSAS", "a02838", "f4f0e0 e8d8a8", "203a6a", "WHEAT STATE", "a02838", "serif e:c8a850:0.15"),
    ),
    "US-KY": (
        _l("KENTUCKY", "1c2d6c", "8ab8e0 d8e8f4 ffffff", "1c2d6c", "UNBRIDLED SPIRIT", "1c2d6c", "caps"),
        _l("Kentucky", "1c2d6c", "a8c8e8 f4f8fa", "1c2d6c", "BLUEGRASS STATE", "1c2d6c", "script hills:7898b8"),
        _l("Kentucky", "203a8a", "ffffff", "203a8a", "JEFFERSON", "203a8a", "serif b:203a8a:0.9:1"),
    ),
    "US-LA": (
        _l("Louisiana", "a82838", "ffffff", "203a80", "Sportsman's Paradise", "203a80", "script e:9a7848:0.5"),
        _l("Louisiana", "a82838", "d8e8f4 ffffff e0e8c8", "203a80", "Sportsman's Paradise", "a82838", "script e:8a8a70:0.5"),
        _l("LOUISIANA", "203a80", "f4f4f4", "203a80", "BAYOU STATE", "203a80", "caps"),
    ),
    "US-ME": (
        _l("MAINE", "14284e", "ffffff f0f4ec", "14284e", "Vacationland", "1a5a3a", "caps e:5a6a4a:0.12"),
        _l("Maine", "1a4a3a", "f4f8f4 ffffff", "141c30", "Vacationland", "1a4a3a", "serif e:707a60:0.15"),
        _l("MAINE", "a02838", "f8f8f8", "1c2d5c", "VACATIONLAND", "a02838", "caps e:c03038:0.3"),
    ),
    "US-MD": (
        _l("MARYLAND", "101010", "ffffff", "101010", "", "", "caps e:c8a030:0.5"),
        _l("MARYLAND", "1c2d6c", "ffffff f0f4f8 c83040", "101010", "WAR OF 1812", "ffffff", "caps e:c03038:0.85"),
        _l("Maryland", "b02838", "fafafa", "101010", "www.maryland.gov", "101010", "serif e:c8a030:0.5"),
        _l("MARYLAND", "101010", "fafafa", "101010", "Treasure the Chesapeake", "2a7a5a", "caps e:3a8a9a:0.15"),
    ),
    "US-MA": (
        _l("MASSACHUSETTS", "1c3a7a", "ffffff", "b02838", "The Spirit of America", "1c3a7a", "caps"),
        _l("Massachusetts", "1c3a7a", "f8f8fa", "b02838", "The Spirit of America", "1c3a7a", "serif"),
        _l("MASSACHUSETTS", "1a6a4a", "fafafa", "1a6a4a", "", "", "caps low"),
    ),
    "US-MI": (
        _l("Michigan", "ffffff", "ffffff", "1c2d5c", "www.michigan.gov", "1c2d5c", "script b:1c3a7a:0:0.22"),
        _l("PURE MICHIGAN", "1c3a7a", "a8cce8 ffffff", "1c3a7a", "MICHIGAN.ORG", "1c3a7a", "caps"),
        _l("MICHIGAN", "ffffff", "1c4a8a", "ffffff", "GREAT LAKES", "ffffff", "caps"),
        _l("Michigan", "1c3a7a", "3a78b8 b8d4e8 f0d8a0", "1c2d5c", "GREAT LAKES SPLENDOR", "1c3a7a", "script"),
    ),
    "US-MN": (
        _l("Minnesota", "1c3a7a", "6aa8d8 d8ecf8 ffffff", "141c40", "10,000 lakes", "1c3a7a", "script hills:3a6a5a"),
        _l("MINNESOTA", "1c3a7a", "88bce0 ffffff 98c0a0", "1c2d5c", "EXPLORE MINNESOTA", "1c3a7a", "caps hills:4a7a6a"),
        _l("Minnesota", "182858", "a0c8e4 f4f8fa", "182848", "10,000 lakes", "182858", "serif hills:58806a"),
    ),
    "US-MS": (
        _l("Mississippi", "1a5a5a", "ffffff e8f4e8 88c0b0", "1a4a3a", "HINDS", "1a5a5a", "script e:f0d8d0:0.2"),
        _l("MISSISSIPPI", "203a6a", "e8e0c0 f8f4e4 c8d8e0", "203a6a", "RANKIN", "203a6a", "caps e:88a0b0:0.5"),
        _l("Mississippi", "a03848", "f4f4f0 ffffff", "203a6a", "The Hospitality State", "a03848", "script"),
    ),
    "US-MO": (
        _l(
            "MISSOURI",
            "ffffff",
            "4a90b0 e8f2f4 68a080",
            "1c3468",
            "SHOW-ME STATE",
            "ffffff",
            "caps b:2a6a98:0:0.2 b:3a8060:0.84:1",
        ),
        _l("Missouri", "1c3468", "b8dce8 ffffff b0d0b8", "1c3468", "Show-Me State", "1c3468", "script e:90b0c0:0.5"),
        _l("MISSOURI", "ffffff", "7a2038", "ffffff", "SHOW ME STATE", "ffffff", "caps"),
        _l("MISSOURI", "a02838", "f0f2f6", "1c2d5c", "BICENTENNIAL", "a02838", "caps b:2a4a90:0.2:0.24 b:b03040:0.8:0.84"),
    ),
    "US-MT": (
        _l("MONTANA", "ffffff", "2a4a8a 4a78b0", "ffffff", "TREASURE STATE", "ffffff", "caps hills:1c3a70"),
        _l("Montana", "1c3a6a", "88b8e0 e8eef0 d0b880", "1c2d5c", "Big Sky Country", "1c3a6a", "script hills:7088a8"),
        _l("MONTANA", "ffffff", "2a5a9a", "f8f8f8", "BIG SKY", "ffffff", "caps"),
    ),
    "US-NE": (
        _l("NEBRASKA", "a82838", "e8a060 f4d8b0 ffffff", "101828", "THE GOOD LIFE", "a82838", "caps hills:b06048"),
        _l("Nebraska", "1c3468", "f4e8b8 ffffff c8d8f0", "141c30", "www.nebraska.gov", "1c3468", "serif e:e0b050:0.5"),
        _l("NEBRASKA", "1c3468", "b0c8e0 f4f4f0", "1c2d4c", "1867", "1c3468", "caps e:c8a850:0.5"),
    ),
    "US-NV": (
        _l("NEVADA", "1c3a7a", "6a98c8 c8d8e8 e8d098", "1c2d5c", "THE SILVER STATE", "1c3a7a", "caps hills:8098b8"),
        _l("NEVADA", "1c3a7a", "a0b8d8 f0ecd8 e8c888", "1c2d5c", "HOME MEANS NEVADA", "1c3a7a", "caps hills:a898a0"),
        _l("Nevada", "203a80", "d8dce4 ffffff d0d4dc", "203a80", "The Silver State", "203a80", "serif hills:98a0b0"),
    ),
    "US-NH": (
        _l("NEW HAMPSHIRE", "1a5a3a", "ffffff e8f0e0 a8c8a0", "1a5a3a", "LIVE FREE OR DIE", "1a5a3a", "caps hills:88b090 low"),
        _l("LIVE FREE OR DIE", "1a5a3a", "e4ece0 ffffff 90b890", "1a5a3a", "NEW HAMPSHIRE", "1a5a3a", "caps e:7aa080:0.2"),
        _l("NEW HAMPSHIRE", "1a5a3a", "fafafa", "1a5a3a", "LIVE FREE OR DIE", "1a5a3a", "caps e:6a9a78:0.12"),
    ),
    "US-NJ": (
        _l("New Jersey", "101828", "e8c848 f8f0c0 ffffff", "101828", "Garden State", "101828", "script"),
        _l("NEW JERSEY", "101828", "f0d060 f8f0c0 f0d060", "101828", "GARDEN STATE", "101828", "caps e:b09838:0.5"),
        _l("NEW JERSEY", "f0e0b0", "24407a", "f0e0b0", "GARDEN STATE", "f0e0b0", "caps"),
    ),
    "US-NM": (
        _l("New Mexico USA", "c02838", "f0c840", "c02838", "Land of Enchantment", "c02838", "caps e:c02838:0.5"),
        _l("NEW MEXICO USA", "f0d048", "2a98a0", "f0d048", "LAND OF ENCHANTMENT", "f0d048", "caps e:f0d048:0.5"),
        _l("NEW MEXICO", "f0d048", "18a098", "f0d048", "CENTENNIAL 1912-2012", "f0d048", "caps"),
        _l("New Mexico USA", "c02838", "f0c840", "c02838", "Chile Capital of the World", "c02838", "caps e:c02838:0.3"),
    ),
    "US-NY": (
        _l("NEW YORK", "1c2d5c", "f0b030", "1c2d5c", "EMPIRE STATE", "1c2d5c", "caps b:1c2d5c:0:0.05 b:1c2d5c:0.2:0.23"),
        _l("NEW YORK", "f0b030", "f0b030", "1c2d5c", "EMPIRE STATE", "1c2d5c", "caps b:1c2d5c:0:0.22"),
        _l("NEW YORK", "ffffff", "ffffff", "1c2d5c", "THE EMPIRE STATE", "ffffff", "caps b:1c3a7a:0:0.22 b:1c3a7a:0.84:1"),
        _l("NEW YORK", "b02838", "fafafa", "1c3a7a", "", "", "caps e:b02838:0.5"),
        _l("NEW YORK", "1c3a7a", "f4f6fa ffffff d8e4f0", "1c2d5c", "EXCELSIOR", "1c3a7a", "caps hills:88a8c8"),
    ),
    "US-NC": (
        _l("NORTH CAROLINA", "b02838", "ffffff e8f0f8 ffffff", "1c3a7a", "First in Flight", "b02838", "caps"),
        _l("First in Flight", "b02838", "e0ecf4 ffffff d8e4c8", "1c3a7a", "NORTH CAROLINA", "b02838", "script e:98a8b8:0.2"),
        _l("NORTH CAROLINA", "b02838", "f4f6f8", "1c3a7a", "FIRST IN FREEDOM", "1c3a7a", "caps"),
    ),
    "US-ND": (
        _l("NORTH DAKOTA", "1c3468", "68a8d8 e8e8c8 e8c060", "141c30", "PEACE GARDEN STATE", "1c3468", "caps e:8a6838:0.12"),
        _l("North Dakota", "1c3468", "88b8e0 f4e8d0 d8a860", "141c30", "Discover the Spirit", "1c3468", "serif hills:987850"),
        _l("NORTH DAKOTA", "ffffff", "4a6a98 c88878 e8c890", "141c30", "LEGENDARY", "ffffff", "caps hills:785048"),
    ),
    "US-OH": (
        _l("OHIO", "b02838", "ffffff e8eef8 ffffff", "1c2d5c", "BIRTHPLACE OF AVIATION", "b02838", "caps"),
        _l("Ohio", "1c3a6a", "f0d8a0 ffffff a8c8a0", "1c2d5c", "Birthplace of Aviation", "1c3a6a", "script hills:88b078"),
        _l("OHIO", "1c2d5c", "ffffff", "1c2d5c", "HAMILTON", "1c2d5c", "caps e:c03038:0.12"),
        _l("OHIO", "1c3a6a", "e8c8a0 f4f0e0 d8e0d0", "1c2d5c", "BICENTENNIAL 1803-2003", "1c3a6a", "serif"),
    ),
    "US-OK": (
        _l("OKLAHOMA", "1a5a3a", "ffffff", "1a5a3a", "NATIVE AMERICA", "1a5a3a", "caps e:8a9a58:0.5"),
        _l("Oklahoma", "1c3468", "f0e4c0 fafafa", "1a3a2a", "NATIVE AMERICA", "a03030", "serif e:b0885a:0.15"),
        _l("OKLAHOMA", "ffffff", "58a0c8 d8ecf4 ffffff", "14284e", "EXPLORE OKLAHOMA", "14284e", "caps e:f0f4f4:0.5"),
        _l("OKLAHOMA", "1a5a3a", "f8f8f4", "1a5a3a", "IS OK", "1a5a3a", "caps"),
    ),
    "US-OR": (
        _l("Oregon", "1c2d5c", "b8c8e0 e8e8f0 c0b8d8", "1c2d5c", "", "", "serif hills:8888b0 e:2a6a4a:0.5"),
        _l("OREGON", "1c2d5c", "c8d4e8 f0eef0 a8c0a0", "141c40", "", "", "caps hills:9898b8 e:1a5a3a:0.5"),
        _l("Oregon", "203a6a", "f0e8d0 fafafa", "203a6a", "Pacific Wonderland", "203a6a", "script"),
    ),
    "US-PA": (
        _l(
            "PENNSYLVANIA",
            "ffffff",
            "1c3a7a ffffff e8c848",
            "1c2d5c",
            "www.state.pa.us",
            "1c3a7a",
            "caps b:1c3a7a:0:0.2 b:f0c838:0.84:1",
        ),
        _l(
            "PENNSYLVANIA",
            "ffffff",
            "2a4a90 d0dcf0 f4f0c8",
            "1c2d5c",
            "visitPA.com",
            "1c2d5c",
            "caps b:24408a:0:0.2 b:f0cc48:0.84:1",
        ),
        _l("Pennsylvania", "f0c838", "1c3a7a", "f0c838", "KEYSTONE STATE", "f0c838", "serif"),
        _l("PENNSYLVANIA", "1c3a7a", "f0c838", "1c3a7a", "KEYSTONE STATE", "1c3a7a", "caps"),
    ),
    "US-RI": (
        _l("Rhode Island", "1c3468", "ffffff f0f4f8 a8c8e0", "1c2d5c", "Ocean State", "1c3468", "script e:88a8c8:0.2"),
        _l("RHODE ISLAND", "1c3468", "f4f8fa ffffff b0d0e4", "1c2d5c", "OCEAN STATE", "1c3468", "caps hills:98b8d0"),
    ),
    "US-SC": (
        _l(
            "South Carolina",
            "1c3468",
            "f0b878 fae8d0 88b8d8",
            "141c40",
            "Smiling Faces. Beautiful Places.",
            "1c3468",
            "script e:3a6a5a:0.5",
        ),
        _l("SOUTH CAROLINA", "1c3468", "ffffff d8e4f0", "1c3468", "While I Breathe, I Hope", "1c3468", "caps e:2a4a80:0.5"),
        _l("South Carolina", "283a70", "c8d8ec f4e8d8 e8b880", "1c2850", "Travel2SC.com", "283a70", "serif e:4a7a70:0.5"),
    ),
    "US-SD": (
        _l(
            "South Dakota",
            "a82838",
            "78a8d8 e0e8f0 ffffff",
            "1c2d5c",
            "Great Faces. Great Places.",
            "a82838",
            "script e:a8a8a8:0.5",
        ),
        _l(
            "SOUTH DAKOTA",
            "1c3468",
            "a0c0e0 f4f4f0 e0d0b0",
            "1c2d5c",
            "GREAT FACES. GREAT PLACES.",
            "a82838",
            "caps hills:a8a098",
        ),
    ),
    "US-TN": (
        _l("TENNESSEE", "1c3468", "ffffff f0f4e8 88b878", "141c40", "THE VOLUNTEER STATE", "ffffff", "caps hills:4a8a4a"),
        _l("Tennessee", "1c3468", "a8cce8 f0f4f0 98b880", "141c30", "The Volunteer State", "1c3468", "script hills:6a9a60"),
        _l("TENNESSEE", "a82838", "f8f4e0 ffffff", "1c2d5c", "Sounds Good to Me", "1c2d5c", "caps"),
        _l("TENNESSEE", "ffffff", "1c3058", "ffffff", "THE VOLUNTEER STATE", "ffffff", "caps"),
    ),
    "US-TX": (
        _l("TEXAS", "101010", "ffffff", "101010", "The Lone Star State", "101010", "caps e:101010:0.15"),
        _l("TEXAS", "1c2d6c", "ffffff", "1c2d6c", "THE LONE STAR STATE", "b02838", "caps"),
        _l(
            "TEXAS",
            "b02838",
            "a8cce8 f0f4f8 c8b898",
            "1c2d5c",
            "THE LONE STAR STATE",
            "1c2d5c",
            "serif hills:9a8a78 e:f0f4f8:0.15",
        ),
        _l("TEXAS", "b02838", "fafafa", "1c2d6c", "TRUCK", "1c2d6c", "caps"),
    ),
    "US-UT": (
        _l("UTAH", "1c2d6c", "ffffff", "1c2d6c", "GREATEST SNOW ON EARTH", "1c2d6c", "caps e:1c2d6c:0.15"),
        _l("UTAH", "ffffff", "3a78b8 e8a868 c86830", "141c30", "LIFE ELEVATED", "ffffff", "caps hills:b86038"),
        _l("Utah!", "1c3a8a", "f4f8fa ffffff d8e8f4", "1c3a8a", "Greatest Snow on Earth", "b02838", "script"),
        _l("UTAH", "a04028", "f0e0c8 f8f0e4 d88850", "141c30", "CENTENNIAL 1896-1996", "a04028", "caps e:c87040:0.2"),
    ),
    "US-VT": (
        _l("VERMONT", "ffffff", "1a6a3a", "ffffff", "GREEN MOUNTAIN STATE", "ffffff", "caps"),
        _l("Vermont", "f4f8f4", "1a5a38", "f4f8f4", "Green Mountain State", "f4f8f4", "serif e:f4f8f4:0.08"),
    ),
    "US-VA": (
        _l("VIRGINIA", "1c3a7a", "ffffff", "1c3a7a", "", "", "caps"),
        _l("Virginia", "1c3a7a", "fafafa", "1c3a7a", "", "", "serif"),
        _l("VIRGINIA", "1c3a7a", "f8fafc", "1c3a7a", "1607 400th Anniversary 2007", "b02838", "caps"),
        _l("Virginia", "1c3a7a", "ffffff", "1c3a7a", "VIRGINIA IS FOR LOVERS", "b02838", "serif"),
    ),
    "US-WA": (
        _l("WASHINGTON", "b02838", "c8dcf0 ffffff c8dcf0", "1c3468", "EVERGREEN STATE", "b02838", "caps hills:a8c4e0"),
        _l("WASHINGTON", "1c3468", "b8d0e8 f4f8fa", "1c3468", "EVERGREEN STATE", "1c3468", "caps hills:a0bcd8"),
        _l("Washington", "b02838", "d8e4f0 fafafa", "1c3a7a", "Evergreen State", "b02838", "serif hills:b0c8e0"),
    ),
    "US-WV": (
        _l(
            "West Virginia", "1c3a7a", "f4c838 ffffff f4c838", "1c3a7a", "Wild, Wonderful", "1c3a7a", "script b:1c3a7a:0.2:0.23"
        ),
        _l("WEST VIRGINIA", "f4c838", "ffffff", "1c3a7a", "WILD, WONDERFUL", "1c3a7a", "caps b:1c3a7a:0:0.2 b:f4c838:0.84:1"),
        _l(
            "West Virginia",
            "1c3a7a",
            "fafafa",
            "1c3a7a",
            "Wild, Wonderful",
            "1c3a7a",
            "serif b:f0c030:0.2:0.24 b:f0c030:0.8:0.83",
        ),
    ),
    "US-WI": (
        _l("WISCONSIN", "b02838", "ffffff", "b02838", "America's Dairyland", "1c3a7a", "caps e:c89858:0.85"),
        _l("WISCONSIN", "b02838", "d8e8f4 ffffff", "141c30", "America's Dairyland", "b02838", "caps e:b05848:0.85"),
        _l("Wisconsin", "1a5a3a", "f4f4e8 ffffff", "101828", "America's Dairyland", "b02838", "serif hills:98b888"),
    ),
    "US-WY": (
        _l("WYOMING", "1c3a6a", "6aa8d8 d8e8f0 ffffff", "14284e", "FOREVER WEST", "1c3a6a", "caps hills:7898b8 e:14284e:0.25"),
        _l("WYOMING", "7a4a28", "e8c878 f8f0d8", "7a4a28", "", "", "caps e:7a4a28:0.25"),
        _l(
            "WYOMING",
            "1c3a6a",
            "e8dcc0 c8d8e4",
            "2a1c14",
            "Like No Place on Earth",
            "1c3a6a",
            "serif hills:98a8b0 e:2a1c14:0.22",
        ),
    ),
    "CA-ON": (
        _l("ONTARIO", "1c3a8a", "ffffff", "1c3a8a", "YOURS TO DISCOVER", "1c3a8a", "caps e:1c3a8a:0.5"),
        _l("ONTARIO", "1c3a8a", "fafafa", "1c3a8a", "KEEP IT BEAUTIFUL", "1c3a8a", "caps e:1c3a8a:0.5"),
        _l("ONTARIO", "1a6a3a", "ffffff", "1a6a3a", "GREEN VEHICLE", "1a6a3a", "caps"),
        _l("Ontario", "ffffff", "24489a", "ffffff", "A PLACE TO GROW", "ffffff", "serif"),
    ),
    "CA-QC": (
        _l("Québec", "1c4a9a", "ffffff", "1c4a9a", "Je me souviens", "1c4a9a", "serif e:1c4a9a:0.1"),
        _l("Québec", "1c4a9a", "fafafa", "1c4a9a", "Je me souviens", "1c4a9a", "caps e:1c4a9a:0.5"),
    ),
    "CA-BC": (
        _l("Beautiful British Columbia", "1c3a8a", "ffffff", "1c3a8a", "", "", "serif e:b02838:0.5"),
        _l("BRITISH COLUMBIA", "1c3a8a", "f8f8fa ffffff", "1c3a8a", "The Best Place on Earth", "1c3a8a", "caps e:b02838:0.5"),
        _l("Beautiful", "1c3a8a", "fafafa", "1c3a8a", "British Columbia", "1c3a8a", "serif e:b02838:0.5"),
    ),
    "CA-AB": (
        _l("Alberta", "b02838", "ffffff", "b02838", "Wild Rose Country", "b02838", "script e:d06878:0.9"),
        _l("ALBERTA", "b02838", "fafafa", "b02838", "WILD ROSE COUNTRY", "b02838", "caps"),
    ),
    "CA-SK": (
        _l("Saskatchewan", "1a6a3a", "ffffff", "1a6a3a", "LAND OF LIVING SKIES", "1a6a3a", "script e:c8a838:0.5"),
        _l("SASKATCHEWAN", "1a6a3a", "fafafa", "1a6a3a", "Land of Living Skies", "1a6a3a", "caps e:c8a838:0.5"),
    ),
    "CA-MB": (
        _l("Manitoba", "1c3a6a", "a8d0e8 e8f4f8 b8d8a8", "1c3a6a", "Friendly", "1c3a6a", "script e:8a7048:0.5"),
        _l("MANITOBA", "1c3a6a", "c0dcec ffffff", "1c2d5c", "FRIENDLY", "1c3a6a", "caps e:7a6a50:0.5"),
    ),
    "CA-NB": (
        _l("New Nouveau Brunswick", "b02838", "ffffff", "b02838", "Be...in this place", "b02838", "serif e:c8a838:0.5"),
        _l("New  Nouveau", "b02838", "fafafa", "b02838", "Brunswick", "b02838", "caps e:b02838:0.5"),
    ),
    "CA-NS": (
        _l("NOVA SCOTIA", "1c4a8a", "ffffff", "1c4a8a", "CANADA'S OCEAN PLAYGROUND", "1c4a8a", "caps e:88a8c8:0.5"),
        _l("Nova Scotia", "1c4a8a", "f0f6fa ffffff", "1c4a8a", "Canada's Ocean Playground", "1c4a8a", "serif e:90b0d0:0.5"),
    ),
    "CA-PE": (
        _l("Prince Edward Island", "1a5a3a", "ffffff", "1c3a7a", "Birthplace of Confederation", "b02838", "serif"),
        _l("PRINCE EDWARD ISLAND", "1c3a7a", "d8ecf4 ffffff", "1c3a7a", "The Gentle Island", "1c3a7a", "caps hills:b07048"),
    ),
    "CA-NL": (
        _l("Newfoundland & Labrador", "b02838", "ffffff", "1c3a7a", "", "", "serif e:c85868:0.5"),
        _l("NEWFOUNDLAND", "b02838", "fafafa", "1c3a7a", "LABRADOR", "b02838", "caps"),
    ),
    "CA-YT": (
        _l("YUKON", "b04828", "e8f0f4 ffffff", "101828", "THE KLONDIKE", "b04828", "caps e:c8a038:0.12"),
        _l("Yukon", "1c3a6a", "c8dce8 f4f0e0", "101828", "The Klondike", "1c3a6a", "serif e:8a7038:0.12"),
    ),
    "CA-NT": (
        _l("NORTHWEST TERRITORIES", "1c3a7a", "ffffff", "1c3a7a", "EXPLORE CANADA'S ARCTIC", "1c3a7a", "caps"),
        _l("Northwest Territories", "1c3a7a", "d0e4f0 ffffff", "1c3a7a", "Spectacular", "1c3a7a", "serif"),
    ),
    "CA-NU": (_l("NUNAVUT", "1c3a7a", "ffffff e8f0f8", "1c3a7a", "EXPLORE CANADA'S ARCTIC", "1c3a7a", "caps e:c85838:0.1"),),
    "AU-NSW": (
        _l("NSW - THE PREMIER STATE", "101010", "f0c828", "101010", "", "", "caps low"),
        _l("NEW SOUTH WALES", "101010", "f4d030", "101010", "", "", "caps low"),
        _l("NSW", "101010", "fafafa", "101010", "", "", "caps low"),
        _l("NEW SOUTH WALES", "1c3a7a", "f4f6f8", "1c3a7a", "TOWARDS 2000", "1c3a7a", "caps"),
    ),
}
"""The designs of the jurisdictions whose plates carry their name."""
