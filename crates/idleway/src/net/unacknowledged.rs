//! What a client has not taken yet although the kernel has.

use tokio::net::TcpStream;

/// Bytes that were written and that the other side has not acknowledged; `None` where the system does not tell.
///
/// The kernel takes megabytes for a client that reads slowly, and then nothing for a while: only this shows whether
/// the client moves.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe call asks for it; the kernel writes one int, into one int")]
pub(crate) fn unacknowledged(stream: &TcpStream) -> Option<u64> {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `stream` is borrowed, and TIOCOUTQ (SIOCOUTQ on a socket, tcp(7))
    // writes one int to the address it is given.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { u64::try_from(bytes).ok() } else { None }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unacknowledged(_: &TcpStream) -> Option<u64> {
    None
}
