//! What a client has not taken yet although the kernel has.

use tokio::net::TcpStream;

/// Bytes that were written and that the other side has not acknowledged; `None` where the system does not tell.
///
/// The kernel takes megabytes for a client that reads slowly, and then nothing for a while: only this shows whether
/// the client moves.
#[cfg(target_os = "linux")]
pub(crate) fn unacknowledged(stream: &TcpStream) -> Option<u64> {
    queued(stream, libc::TIOCOUTQ)
}

/// Bytes that were written and that the kernel has not even sent, since the other side takes no more; `None` where the
/// system does not tell. What was sent and is not acknowledged is no part of it.
#[cfg(target_os = "linux")]
pub(crate) fn unsent(stream: &TcpStream) -> Option<u64> {
    queued(stream, libc::SIOCOUTQNSD)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe call asks for it; the kernel writes one int, into one int")]
fn queued(stream: &TcpStream, question: libc::Ioctl) -> Option<u64> {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `stream` is borrowed, and both questions (TIOCOUTQ, which is SIOCOUTQ on a
    // socket, and SIOCOUTQNSD; tcp(7)) write one int to the address they are given.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), question, &raw mut bytes) };
    if result == 0 { u64::try_from(bytes).ok() } else { None }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unacknowledged(_: &TcpStream) -> Option<u64> {
    None
}
