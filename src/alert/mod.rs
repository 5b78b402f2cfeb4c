//! How a hit reaches the officer: a tone through ALSA and a page on a local console.
