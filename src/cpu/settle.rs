//! What follows a `grid`: its last states, or its work once more.

use super::call::Call;
use crate::kernels::SettleParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: SettleParams = call.params();
    let (exchange, map) = (call.read(0), call.read(1));
    let (guarded, h_out, aux) = (call.write(2), call.write(3), call.write(4));
    let words = p.map_words;
    if exchange[0].to_bits() != 0 {
        guarded[..words].copy_from_slice(&map[..words]);
        return;
    }
    guarded[..words].fill(0.0);
    let [rows, first, width] = [p.rows, p.state_row, p.exchange_width];
    let [h_width, aux_width] = [p.h_width, p.aux_stride];
    for row in 0..rows {
        let h = &exchange[p.h_at + row * width..][..h_width];
        h_out[(first + row) * h_width..][..h_width].copy_from_slice(h);
    }
    let held = &exchange[p.aux_at..][..rows * aux_width];
    aux[first * aux_width..][..rows * aux_width].copy_from_slice(held);
}
