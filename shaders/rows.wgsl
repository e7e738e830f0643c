    batch: u32,
    tracks: u32,
    state_row: u32, // first row of this layer's states: layer · tracks · batch
    x_track: u32,
    x_stride: u32,
    map_track: u32,
    order: u32,   // where `map` has the sequence of each rank
    offsets: u32, // where `map` has the first row of this dispatch's first step
    chunk: u32,   // where `map` has the first row that the rows of the input or the reserve hold
