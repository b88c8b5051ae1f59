"""What the tubes of a figure wear, by number."""

SKIN, FACE, HAIR, CHEST, UPPER, LOWER, INNER, SHOE, SOLE, SOCK, HAT, BELT, GLOVE, THROAT = (
    range(14)
)
