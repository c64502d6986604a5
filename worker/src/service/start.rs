//! Waits for back ends that are away when a worker or an API starts, as it does for those that go away later: whoever ends
//! instead is started again after ever longer pauses, long after they are back.

use std::fmt::Display;

use tokio::sync::watch;

use super::AWAY;

/// What `open` gives; asked again while it fails with what may pass. `None`: asked to end meanwhile.
pub(crate) async fn opened<T, E: Display>(
    stop: &mut watch::Receiver<bool>,
    stays: impl Fn(&E) -> bool,
    mut open: impl AsyncFnMut() -> Result<T, E>,
) -> Result<Option<T>, E> {
    loop {
        let opened = tokio::select! {
            opened = open() => opened,
            _ = stop.changed() => return Ok(None),
        };
        match opened {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) if stays(&error) => return Err(error),
            Err(error) => tracing::warn!(%error, "waits for a back end before it takes work"),
        }
        tokio::select! {
            () = tokio::time::sleep(AWAY) => {}
            _ = stop.changed() => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_may_pass_is_asked_again_and_what_stays_is_told() {
        let (end, mut stop) = watch::channel(false);
        let mut asked = 0;
        let second = opened(
            &mut stop,
            |_: &&str| false,
            async || {
                asked += 1;
                if asked < 2 { Err("away") } else { Ok(asked) }
            },
        );
        assert_eq!(second.await, Ok(Some(2)));
        assert_eq!(opened(&mut stop, |_| true, async || Err::<(), _>("wrong")).await, Err("wrong"));
        end.send(true).unwrap();
        assert_eq!(opened(&mut stop, |_| false, async || Err::<(), _>("away")).await, Ok(None));
    }
}
