// Package keeper lets connections outlive the process that serves them. A small
// parent process, the keeper, holds the listening socket and a duplicate of
// every connection, and starts the child that serves them. When the child dies,
// for any reason, the next one goes on where it was: Kong notices nothing. The same
// happens on an upgrade, with a child of the new executable.
//
// # What the next child has to know
//
// A connection is more than its file descriptor: bytes that the dead child had
// read and not dealt with are gone from the socket, and Kong must neither get an
// answer twice nor wait for one that was lost. So what was read since the last
// answer, and how far the exchange had come, is kept in a slot of memory that
// the processes share; see [slot]. The next child reads the same call again and
// answers it. This needs neither the keeper nor a system call of its own: the keeper
// does nothing for a single event.
//
// The difficulty is that the child may be killed between a system call and a record of
// what it did. The kernel therefore makes the record, in the same system call: recvmmsg
// and sendmmsg write the number of bytes that were moved into the message's header, and
// that header lies in the slot. (A kill takes effect on the way out of a system call,
// after that.)
//
// What else outlives a child, it saves by key in the keeper; see [Child.Set].
//
// A child that is not ready within a while hangs, and is killed. The one after it is
// started as after any that dies before it is ready: later each time. One that was ready
// and does not answer any more is killed as well, and the next one goes on where it was;
// [Options.Probe] asks it.
//
// # Upgrades
//
// On SIGUSR2 the keeper starts a child from the executable that is now at its
// own path. When that is ready, the old child finishes what it has in flight, and ends: but for
// what waits for the body of a client, with which the new one goes on.
// Where the new one dies before it is ready, or is not ready within a while, the old one
// goes on. The keeper itself stays what it was until it is restarted; a child
// that speaks another version of the keeper's protocol is refused, and the old
// one goes on.
//
// A server that takes the socket over has a keeper of its own, which asks the former one
// for its connections and saved state when its first child is ready; see [Options]. It
// asks for the values that this child needs before that one by one.
//
// # Why it is worth its lines
//
// Less was tried. On Kong 3.9.3, at 16 connections, with a child that is killed again and
// again:
//
//   - A parent that has only the listening socket: 293 of 4,459 requests failed, in 20
//     kills.
//   - The keeper: none of 16,851 failed, in 80 kills.
//   - A parent that relays frames, about 300 lines without shared memory: none failed, and
//     at one connection there was half the throughput. This is from an earlier measurement.
//
// Between two keepers, saved state alone was tried, while the former one ends its
// connections one after another as at a stop. Kong repeats an event whose connection has
// ended, but none that it cannot send any more, as a worker may that was held up for longer
// than the former keeper waits. In runs of 6 to 12 reloads, in turn with the present keeper
// and on the same busy machine, at 16 connections, so many requests failed:
//
//	                          saved state alone   connections, too
//	it takes over at once     0 of 292,274        0 of 367,766
//	it stands by first        1 of 397,704        0 of 214,080
//
// In an earlier run, with saved state alone, 2 of 147,069 failed where the next server
// takes over at once, and 692 of 125,644 where it stands by first.
package keeper
