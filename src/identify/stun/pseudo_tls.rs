//! The hellos with which MS-TURN pretends to be TLS, to get through firewalls on TCP 443.
//! MS-TURN section 2.1.1.
//!
//! | side | bytes |
//! |---|---|
//! | client, 50 | `16 03 01 00 2d 01 00 00 29 03 01`, random (32), `00 00 02 00 18 01 00` |
//! | server, 83 | `16 03 01 00 4e 02 00 00 46 03 01`, random (32), `20`, session (32), `00 18 00 0e 00 00 00` |
//!
//! The one suite, anonymous Diffie-Hellman with RC4, and a server done without a certificate give
//! it away. After the two hellos come MS-TURN frames, not records.

use crate::identify::bytes::{self, Prefix, Reader};
use crate::identify::sides::Seen;

/// Which of the two hellos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::identify) enum Hello {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

/// Reads a hello from the beginning of a stream, and what follows it.
pub(in crate::identify) fn read(bytes: &[u8]) -> Seen<(Hello, &[u8])> {
    if bytes.first().is_some_and(|&first| first != HANDSHAKE) {
        return Seen::Foreign;
    }
    let forms = [
        (Hello::Client, CLIENT, CLIENT_VARIES, CLIENT_END),
        (Hello::Server, SERVER, SERVER_VARIES, SERVER_END),
    ];
    for (hello, start, varies, end) in forms {
        match bytes::prefix(bytes, start) {
            Prefix::Differs => {}
            Prefix::Part => return Seen::Short,
            Prefix::Whole => {
                let mut reader = Reader::new(bytes);
                if reader.skip(start.len() + varies).is_none() {
                    return Seen::Short;
                }
                return match bytes::prefix(reader.rest(), end) {
                    Prefix::Differs => Seen::Foreign,
                    Prefix::Part => Seen::Short,
                    Prefix::Whole => {
                        reader.take_up_to(end.len());
                        Seen::Fits((hello, reader.rest()))
                    }
                };
            }
        }
    }
    Seen::Foreign
}

const HANDSHAKE: u8 = 0x16;
const CLIENT: &[u8] = &[0x16, 0x03, 0x01, 0x00, 0x2d, 0x01, 0x00, 0x00, 0x29, 0x03, 0x01];
/// Time and random.
const CLIENT_VARIES: usize = 32;
const CLIENT_END: &[u8] = &[0x00, 0x00, 0x02, 0x00, 0x18, 0x01, 0x00];
const SERVER: &[u8] = &[0x16, 0x03, 0x01, 0x00, 0x4e, 0x02, 0x00, 0x00, 0x46, 0x03, 0x01];
/// Time and random, session length and session.
const SERVER_VARIES: usize = 32 + 1 + 32;
const SERVER_END: &[u8] = &[0x00, 0x18, 0x00, 0x0e, 0x00, 0x00, 0x00];

#[cfg(test)]
pub(in crate::identify) mod tests {
    use super::*;

    pub(in crate::identify) fn client() -> Vec<u8> {
        [CLIENT, &[0x5a; 32], CLIENT_END].concat()
    }

    pub(in crate::identify) fn server() -> Vec<u8> {
        [SERVER, &[0x5a; 32], &[0x20], &[0xa5; 32], SERVER_END].concat()
    }

    #[test]
    fn the_hellos_have_the_documented_sizes() {
        assert_eq!(client().len(), 50);
        assert_eq!(server().len(), 83);
    }

    #[test]
    fn what_follows_is_handed_on() {
        let bytes = [client(), vec![2, 0]].concat();
        assert_eq!(read(&bytes), Seen::Fits((Hello::Client, &[2u8, 0][..])));
        assert_eq!(read(&server()), Seen::Fits((Hello::Server, &[][..])));
    }

    #[test]
    fn a_real_hello_of_the_same_size_is_not_taken() {
        let mut real = client();
        real[47] = 0x2f;
        assert_eq!(read(&real), Seen::Foreign);
        for cut in 0..50 {
            assert_eq!(read(&client()[..cut]), Seen::Short, "cut at {cut}");
        }
    }
}
