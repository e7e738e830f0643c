//! A plan as a table: its buffers, then its commands, equal kernels in one line.

use super::commands::{Command, Plan, Role};
use std::fmt::{Display, Formatter, Result};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "{:<44} {:>10} {:>12}", "buffer", "MiB", "kind")?;
        for buffer in &self.buffers {
            let kind = match buffer.role {
                Role::External => "tensor",
                Role::Workspace | Role::Guarded(_) => "workspace",
                Role::Constant(_) | Role::Indices(_) => "indices",
                Role::Reserve => "reserve",
            };
            writeln!(f, "{:<44} {:>10.3} {kind:>12}", buffer.name, mebi(4 * buffer.words))?;
        }
        writeln!(f, "\n{:<44} {:>10} {:>12} {:>10} {:>10}", "kernel", "dispatches", "workgroups", "MFLOP", "MiB")?;
        for (i, variant) in self.variants.iter().enumerate() {
            let of = || self.dispatches().filter(move |dispatch| dispatch.variant == i);
            let groups: u64 = of().map(|d| d.grid.iter().map(|&n| u64::from(n)).product::<u64>()).sum();
            let flop = of().map(|d| d.flop).sum::<u64>();
            let bytes = of().map(|d| d.bytes).sum();
            let (name, count) = (variant.to_string(), of().count());
            writeln!(f, "{name:<44} {count:>10} {groups:>12} {:>10.3} {:>10.3}", flop as f64 / 1e6, mebi(bytes))?;
        }
        let moves = self.commands.iter().filter(|command| !matches!(command, Command::Dispatch(_))).count();
        let flop = self.flop() as f64 / 1e6;
        writeln!(
            f,
            "{:<44} {:>10} {:>12} {flop:>10.3} {:>10.3}",
            "all",
            self.dispatches().count(),
            "",
            mebi(self.bytes())
        )?;
        let (own, reserve) = (mebi(self.workspace_bytes()), mebi(self.reserve_bytes()));
        write!(f, "{moves} copies and clears; {own:.3} MiB allocated by the plan, {reserve:.3} MiB kept for backward")
    }
}

fn mebi(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
