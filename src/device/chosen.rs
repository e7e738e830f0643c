//! What is chosen for a device: its row of the table, or what was measured.

use super::handle::Device;
use super::tuning::{DISCRETE, INTEGRATED, OLD_MESA, SOFTWARE, Tuning};
use crate::kernels::{Kernel, Tile};

/// What is chosen for a device.
pub(crate) fn tuning(device: &Device) -> &Tuning {
    // The CPU's twins use no register tile.
    device.gpu_ref().map_or(&SOFTWARE, |gpu| &gpu.tuning)
}

impl Device {
    /// Whether packed matrices are textures.
    pub(crate) fn packs_textures(&self) -> bool {
        !self.is_cpu() && tuning(self).texture
    }

    /// Whether products read rows through windows of uniform buffers.
    pub(crate) fn reads_windows(&self) -> bool {
        !self.is_cpu() && tuning(self).uniform
    }
}

/// The tiles that a device's own row of the table leads to.
pub(crate) fn own_tiles(device: &Device, kernel: Kernel) -> [Tile; 3] {
    tuning(device).tiles(kernel)
}

/// These and the ones of other classes of adapter, for parity cases to try on whatever adapter there is. On the CPU,
/// which compiles no shader, really all; elsewhere not those of old Mesa, since other compilers take many seconds for
/// tiles of that size.
pub(crate) fn tiles(device: &Device, kernel: Kernel) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let others = [&SOFTWARE, &INTEGRATED, &DISCRETE].into_iter().chain(device.is_cpu().then_some(&OLD_MESA));
    for tile in [tuning(device)].into_iter().chain(others).flat_map(|tuning| tuning.tiles(kernel)) {
        if !tiles.contains(&tile) {
            tiles.push(tile);
        }
    }
    tiles
}
