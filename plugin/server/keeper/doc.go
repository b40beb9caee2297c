// Package keeper lets connections outlive the process that serves them. A small
// parent process, the keeper, holds the listening socket and a duplicate of
// every connection, and starts the child that serves them. When the child dies
// of anything, the next one goes on where it was: Kong notices nothing. The same
// happens on an upgrade, with a child of the new executable.
//
// # What the next child has to know
//
// A connection is more than its file descriptor: bytes that the dead child had
// read and not dealt with are gone from the socket, and Kong must neither get an
// answer twice nor wait for one that was lost. So what was read since the last
// answer, and how far the exchange had come, is kept in a slot of memory that
// the processes share; see [slot]. The next child reads the same call again and
// answers it. Nothing of this needs the keeper, or a system call of its own: for
// a single event the keeper does nothing.
//
// The difficulty is the moment between a system call and a note of what it did,
// in which the child may be killed. The notes are therefore made by the kernel,
// in the same system call: recvmmsg and sendmmsg write the number of bytes that
// were moved into the message's header, and that header lies in the slot. (A
// kill takes effect on the way out of a system call, after that.)
//
// What else a child wants its successor to know it puts into the keeper's notes,
// by key; see [Child.Set].
//
// A child that is not ready within a while hangs and is killed. The one after it is
// started as after any that dies before it is ready: later each time.
//
// # Upgrades
//
// On SIGUSR2 the keeper starts a child from the executable that is now at its
// own path, and when that is ready lets the old one finish what it has in hand,
// and end. One that dies before it is ready, or is not within a while, leaves the old
// one at work. The keeper itself stays what it was until it is restarted; a child
// that speaks another version of the keeper's protocol is refused, and the old
// one goes on.
//
// A server that takes the socket over has a keeper of its own, which asks this one
// for its connections and notes; see [Options]. It does so when its first child is
// ready. A note that this child needs before that is asked for alone.
package keeper
