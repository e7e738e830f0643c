//! What zoneout draws for a unit of a step: the sum of the old values that it keeps.

/// It keeps the old h.
pub(super) const H: f32 = 1.0;
/// It keeps the old c.
pub(super) const C: f32 = 2.0;

/// Whether it keeps an old value, [`H`] or [`C`].
pub(super) fn is_kept(drawn: f32, which: f32) -> bool {
    drawn == which || drawn == H + C
}
