"""Renders plates, trains the detector and the reader, measures them and writes the model packages."""
