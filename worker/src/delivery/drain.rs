//! The farewell of a worker that is asked to end: its entries go back, and it is not waited for any more.

use super::{Deliverer, Error, PlantedFault};
use crate::queue::Delivery;

impl Deliverer {
    /// Gives back the entries of what was in work and stands still now, and says that this worker is gone. Rows
    /// that are handed back before are free for whoever receives an entry; others are when it is gone. No beat
    /// may come after it.
    ///
    /// # Errors
    /// The ledger did not hear it: then the lease runs out.
    pub async fn leave(&self, left: &[Delivery]) -> Result<(), Error> {
        if self.plants(PlantedFault::ConsumerDeletedAtDrain) {
            #[cfg(feature = "planted-faults")]
            self.queue.delete_consumer(&self.worker.0).await?;
        }
        for delivery in left {
            // Else its lease runs out.
            if let Err(error) = self.queue.release(delivery, 0).await {
                tracing::warn!(%error, "an entry was not handed back");
            }
        }
        Ok(self.ledger.retire_worker(&self.worker).await?)
    }
}
