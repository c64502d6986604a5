//! Places that tenants share. Whoever has some leaves as many free for others, so that nobody takes all, and the last
//! who comes finds one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docmill_core::id::TenantId;

/// See the module.
pub struct Shares {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    of_tenant: BTreeMap<TenantId, usize>,
}

/// A place; free again when it is dropped.
pub struct Place {
    shares: Arc<Shares>,
    tenant: TenantId,
}

impl Shares {
    /// So many places.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A place for the tenant, unless it has as many as are free.
    pub fn take(self: &Arc<Self>, tenant: &TenantId) -> Option<Place> {
        let mut taken = self.lock();
        let own = taken.of_tenant.get(tenant).copied().unwrap_or(0);
        if own >= self.most - taken.all {
            return None;
        }
        taken.all += 1;
        taken.of_tenant.insert(tenant.clone(), own + 1);
        Some(Place { shares: self.clone(), tenant: tenant.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        taken.all -= 1;
        if let Some(own) = taken.of_tenant.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.of_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(shares: &Arc<Shares>, name: &str) -> Vec<Place> {
        let tenant = TenantId::new(name).unwrap();
        std::iter::from_fn(|| shares.take(&tenant)).collect()
    }

    #[test]
    fn who_has_some_leaves_as_many() {
        let shares = Shares::new(128);
        let one = all(&shares, "one");
        assert_eq!(one.len(), 64);
        let (two, three) = (all(&shares, "two"), all(&shares, "three"));
        assert_eq!((two.len(), three.len()), (32, 16));
        drop(one);
        assert_eq!(all(&shares, "four").len(), 40, "half of what is free");
        drop((two, three));
        assert_eq!(shares.lock().all, 0);
        assert!(shares.lock().of_tenant.is_empty());
    }
}
