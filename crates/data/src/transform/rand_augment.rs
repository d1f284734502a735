//! Operations drawn at random, all of one strength.

pub(super) mod tone;
