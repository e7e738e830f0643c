//! The sequences of a CTC loss, checked, with lists of equal labels.

use super::call::Call;
use super::links::EARLIER;
use crate::kernels::{CtcLabelsParams, SEQUENCE_HEAD};

pub(crate) fn run(call: &mut Call<'_>) {
    let p: CtcLabelsParams = call.params();
    let [labels, input_lengths, label_lengths] = [0, 1, 2].map(|binding| call.read_indices(binding));
    let sequences = bytemuck::cast_slice_mut::<f32, u32>(call.write(3));
    for n in 0..p.batch {
        let labels = &labels[p.labels_offset + n * p.labels..][..p.labels];
        let steps = input_lengths[p.input_lengths_offset + n];
        let count = label_lengths[p.label_lengths_offset + n];
        let out = &mut sequences[n * (SEQUENCE_HEAD + 2 * p.labels)..][..SEQUENCE_HEAD + 2 * p.labels];
        let (head, out) = out.split_at_mut(SEQUENCE_HEAD);
        let (kept, links) = out.split_at_mut(p.labels);
        kept.fill(p.blank as u32);
        links.fill(0);
        let fits = steps as usize <= p.steps && count as usize <= p.labels;
        let labels = &labels[..if fits { count as usize } else { 0 }];
        kept[..labels.len()].copy_from_slice(labels);
        for (s, label) in labels.iter().enumerate() {
            let next = labels[s + 1..].iter().position(|other| other == label).map_or(labels.len(), |i| s + 1 + i);
            links[s] = next as u32 | if labels[..s].contains(label) { EARLIER } else { 0 };
        }
        let is_wrong = |&label: &u32| label as usize >= p.classes || label as usize == p.blank;
        *head.first_chunk_mut().unwrap_or(&mut [0; SEQUENCE_HEAD]) = match count {
            u32::MAX => [0, 0, 2, 0],
            _ if !fits || labels.iter().any(is_wrong) => [0, 0, 1, 0],
            _ => [steps, count, 0, 0],
        };
    }
}
