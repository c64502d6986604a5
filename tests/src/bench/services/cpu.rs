//! Processor time of the processes that this one started, by the name of their program.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use super::super::Figures;

/// Clock ticks of a second in /proc, on every Linux.
const TICKS: f64 = 100.0;

/// Processor seconds by program, and when they were read.
pub struct Cpu {
    at: Instant,
    seconds: BTreeMap<String, f64>,
}

impl Cpu {
    /// Reads them.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn now() -> Result<Self> {
        let mut processes: BTreeMap<u32, (String, u32, f64)> = BTreeMap::new();
        for entry in std::fs::read_dir("/proc")? {
            let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // Gone since it was listed.
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
            let Some((head, rest)) = stat.rsplit_once(')') else { continue };
            let name = head.split_once('(').map_or("", |(_, name)| name).to_owned();
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let number = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
            // Behind the name: state, parent, … user and system time, and those of children that ended.
            let used = (11..15).filter_map(number).sum::<f64>() / TICKS;
            let parent = fields.get(1).and_then(|field| field.parse().ok()).unwrap_or(0);
            processes.insert(process, (name, parent, used));
        }
        let own = std::process::id();
        let mut seconds: BTreeMap<String, f64> = BTreeMap::new();
        for (&process, (name, _, used)) in &processes {
            let mut at = process;
            while at != own && at > 1 {
                at = processes.get(&at).map_or(0, |(_, parent, _)| *parent);
            }
            if at == own {
                let name = if process == own { "harness" } else { name };
                *seconds.entry(name.to_owned()).or_default() += used;
            }
        }
        Ok(Self { at: Instant::now(), seconds })
    }

    /// Tells the share of one processor that each program took since then, as figures of this measurement.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn tell_shares(&self, measurement: &str, figures: &mut Figures) -> Result<()> {
        for (program, share) in self.shares_since()? {
            figures.told(&format!("{measurement}_cpu_{}", program.replace(['-', ' ', ':'], "_")), share);
        }
        Ok(())
    }

    fn shares_since(&self) -> Result<BTreeMap<String, f64>> {
        let now = Self::now()?;
        let wall = now.at.duration_since(self.at).as_secs_f64();
        let share = |(name, seconds): (&String, &f64)| {
            let before = self.seconds.get(name).copied().unwrap_or(0.0);
            (name.clone(), (seconds - before) / wall)
        };
        Ok(now.seconds.iter().map(share).filter(|(_, share)| *share >= 0.01).collect())
    }
}
