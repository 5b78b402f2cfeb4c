//! Turns the candidates of one track into one read.
