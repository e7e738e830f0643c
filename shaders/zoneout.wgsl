// What zoneout drew for a unit of a step, as a number in the reserve: 1 where h keeps its old value, 2 where c does, 3 where both
// do, else 0.
fn keeps_h(drawn: f32) -> bool {
    return drawn == 1.0 || drawn == 3.0;
}

fn keeps_c(drawn: f32) -> bool {
    return drawn >= 2.0;
}
