"""What a camera's frame can become: names alone, since help texts list them and must load nothing."""

GARMENT, WHOLE, CENTRE = "garment", "whole frame", "centre square"
VISIONS = (GARMENT, WHOLE, CENTRE)
