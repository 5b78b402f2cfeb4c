"""Plates whose characters cannot all be seen are not used."""

import cv2
import numpy as np
import pytest

from outrider_train import legible, paint, plates


def plain(seed: int = 1) -> plates.Plate:
    """A Brazilian plate as it was set, nothing on top of its characters."""
    return plates.brazil(np.random.default_rng(seed))


def seen(plate: plates.Plate) -> bool:
    """Whether it is legible."""
    return legible.legible(plate.characters, plate.boxes, plate.image)


def test_a_plate_as_it_was_set_is_legible():
    plate = plain()
    assert len(plate.characters) == len(plate.text) == 7
    assert seen(plate)
    assert all(legible.left(c, b, plate.image) > 0.8 for c, b in zip(plate.characters, plate.boxes, strict=True))


@pytest.mark.parametrize("which", [0, 3, 6])
def test_a_character_under_a_sticker_is_not(which):
    plate = plain()
    paint.box(plate.image, *plate.boxes[which] + [-1, -1, 1, 1], (200, 200, 200))
    assert not seen(plate)


def test_glare_that_burns_a_character_out_hides_it_and_half_a_shade_does_not():
    burnt, shaded = plain(), plain()
    x0, y0, x1, y1 = burnt.boxes[2].astype(int)
    light = np.zeros(burnt.image.shape[:2], np.float32)
    cv2.circle(light, ((x0 + x1) // 2, (y0 + y1) // 2), y1 - y0, 400.0, -1)
    burnt.image = np.clip(burnt.image + cv2.GaussianBlur(light, (0, 0), 4)[..., None], 0, 255)
    assert not seen(burnt)
    shaded.image[:, : int(shaded.boxes[3][0])] *= 0.5
    assert seen(shaded)


def test_ink_on_ink_is_not_legible():
    image = np.full((96, 280, 3), 230, np.float32)
    paint.box(image, 0, 0, 60, 96, (20, 20, 20))
    how = plates.style(np.random.default_rng(2), np.array([20.0, 20, 20]), 0.25, 0)
    boxes = np.array(plates.write(image, "1BCD234", 5, 275, 50, 60, how, np.random.default_rng(3)))
    assert how.characters[0].contrast < legible.LEAST < how.characters[3].contrast
    assert not legible.legible(how.characters, boxes, image)


def test_a_character_at_the_edge_is_looked_at_where_it_is():
    image = np.full((40, 60, 3), 200, np.float32)
    setting = legible.Setting(image, [-5, -2, 20, 38])
    paint.box(image, 5, 3, 9, 33, (10, 10, 10))
    character = setting.drawn()
    assert character.look.shape == (40, 20) and character.begin == (5, 2)
    assert legible.left(character, [-5, -2], image) == pytest.approx(1)
    wider = np.full((50, 70, 3), 30, np.float32)
    wider[6:46, 8:68] = image
    assert legible.left(character, [3, 4], wider) == pytest.approx(1), "a frame moved the box by (8, 6)"
