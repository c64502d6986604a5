//! Signals: the first interruption asks to stop, the second stops; SIGUSR1 gives memory back.

use tokio::sync::watch;

/// A channel that turns true when the user or the system asks to stop.
pub fn stop() -> watch::Receiver<bool> {
    stop_saying("finishing what is in hand; run again to resume")
}

/// The same, with what the user is told at the first interruption.
pub fn stop_saying(said: &'static str) -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        let mut asked = 0;
        let Ok(mut term) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
            return;
        };
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            asked += 1;
            if asked > 1 {
                std::process::exit(i32::from(crate::failure::INTERRUPTED));
            }
            eprintln!("{said}");
            let _ = stop.send(true);
        }
    });
    stopped
}

/// Gives memory back to the system whenever SIGUSR1 comes.
pub fn reclaim_on_signal() {
    tokio::spawn(async {
        let kind = tokio::signal::unix::SignalKind::user_defined1();
        let Ok(mut asked) = tokio::signal::unix::signal(kind) else { return };
        while asked.recv().await.is_some() {
            tracing::info!("memory is given back");
            docmill_worker::health::reclaim_memory();
        }
    });
}
