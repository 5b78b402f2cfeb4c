"""Things that are not plates but look like some: badges, stickers, signs, timestamps, lamps, lettering."""

import cv2
import numpy as np

from . import paint, typefaces

WORDS = (
    "TOYOTA HONDA FORD MAZDA Corolla CIVIC F-150 Silverado 4x4 TDI HYBRID AWD XLT Limited V6 TAXI POLICE SCHOOL BUS "
    "AMBULANCE EXIT STOP YIELD ONLY LANE SPEED LIMIT 50 60 100 km/h MAXIMUM PARKING OPEN SALE MOTEL PIZZA HOTEL BANK "
    "www.example.com 555-0123 1-800-555 FOR RENT NO TURN DETOUR ROUTE 401 I-90 US 66 ONE WAY MERGE DO NOT ENTER "
    "How is my driving? Baby on board MY OTHER CAR I LOVE DOGS 2026-11-23 14:05:09 06/30/2014 CAM 1 REC 00:12:33 GPS "
    "EXPRESS TRUCKING LOGISTICS Ltd Inc BUDGET Hertz U-HAUL Mack VOLVO MAN SCANIA DAF IVECO BROWN WHITE 17 42 8"
).split()


def panel(rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """(float32 BGR picture about 160 wide, whether only its ink should be seen: lettering on whatever is there)."""
    aspect = float(np.exp(rng.uniform(np.log(0.5), np.log(7))))
    width = 160
    height = max(20, int(width / aspect))
    back = rng.uniform(0, 255, 3)
    image = np.full((height, width, 3), back, np.float32)
    u = rng.random()
    if u < 0.72:
        lines = int(np.clip(round(height / rng.uniform(25, 60)), 1, 5))
        for i in range(lines):
            text = " ".join(rng.choice(WORDS, int(rng.integers(1, 4))))
            mask = typefaces.line(text, rng, height / lines * rng.uniform(0.4, 0.8), width * 0.92)
            x = width / 2 - mask.shape[1] / 2
            paint.blend(image, mask, x, height * (i + 0.15) / lines, rng.uniform(0, 255, 3))
        if rng.random() < 0.4:
            paint.box(image, 2, 2, width - 3, height - 3, rng.uniform(0, 255, 3), int(rng.integers(1, 4)))
        return image, rng.random() < 0.45
    if u < 0.82:  # lamp, reflector, badge
        axes = (int(width * 0.45), int(height * 0.42))
        cv2.ellipse(image, (width // 2, height // 2), axes, 0, 0, 360, paint.colour(rng.uniform(0, 255, 3)), -1)
        inner = (max(1, axes[0] // 2), max(1, axes[1] // 2))
        cv2.ellipse(image, (width // 2, height // 2), inner, 0, 0, 360, paint.colour(rng.uniform(0, 255, 3)), -1)
    elif u < 0.9:  # grille, bumper, painted speed bump
        bars = int(rng.integers(2, 12))
        ink = rng.uniform(0, 255, 3)
        for i in range(0, 2 * bars, 2):
            if rng.random() < 0.5 or height < 30:
                paint.box(image, width * i / 2 / bars, 0, width * (i + 1) / 2 / bars, height, ink)
            else:
                paint.box(image, 0, height * i / 2 / bars, width, height * (i + 1) / 2 / bars, ink)
    else:  # patches of light
        image += cv2.resize(rng.uniform(-80, 80, (3, 9, 3)).astype(np.float32), (width, height))
    return np.clip(image, 0, 255), False
