/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Constants of the wire formats (docs/protocol.md), the one place where they are
 * written. Read by three languages: P4 and C include it, Python parses it
 * (p4cats.protocol). Therefore: only `#define NAME NUMBER`, one a line.
 */
#ifndef CATS_PROTOCOL_H
#define CATS_PROTOCOL_H

/* IPv6 Hop-by-Hop option: skip if unknown, data may change en route (RFC 4727). */
#define CATS_OPTION_TYPE 0x3E
/* Octets of option data, without type and length. */
#define CATS_OPTION_LENGTH 36
/* Octets of a Hop-by-Hop header that holds this option alone, and its length field. */
#define CATS_HBH_BYTES 40
#define CATS_HBH_EXT_LENGTH 4

#define CATS_MAGIC 0xCA75
#define CATS_VERSION 1
/* Flag of the option: the instance drains, place no new flow. */
#define CATS_FLAG_DRAINING 0x1
/* Octets that the MAC covers: the option from the magic to the sequence, and the destination address. */
#define CATS_MAC_INPUT_BYTES 44

/* Beacons: UDP datagrams to this port of an ingress CATS-Forwarder. */
#define CATS_BEACON_PORT 51829

/* In-band network telemetry: UDP port that announces it, domain id, UDP port of telemetry reports. */
#define CATS_INT_PORT 51830
#define CATS_INT_DOMAIN 0xCA75
#define CATS_REPORT_PORT 51831

/* Data of a blanked option: PadN of the same size (RFC 8200, 4.2) is not used,
 * since the option's type must not change en route: type and length stay and the data is zero. */

/* Policies of a service, as carried in the `service` table. */
#define CATS_POLICY_STATIC 0
#define CATS_POLICY_HASH 1
#define CATS_POLICY_LEAST 2
#define CATS_POLICY_P2C 3

/* How long the placements of one ingress forwarder stay unknown to the others, and the window in which
 * each counts its own. The second is a power of two: P4 cuts it out of the time. */
#define CATS_SPREAD_TIME_US 25000
#define CATS_SPREAD_WINDOW_US 1048576

/* Instance identifiers run from 1 to CATS_INSTANCES - 1; 0 means none. */
#define CATS_INSTANCES 1024
/* Candidates of one service at one ingress forwarder. */
#define CATS_CANDIDATES 8

/* SIDs (RFC 8986): locator of 48 bits, function of 16 bits, no argument. */
/* First 16 bits of all locators (RFC 9602). */
#define CATS_SR_BLOCK 0x5f00
#define CATS_LOCATOR_BITS 48
#define CATS_FUNCTION_END 0x0001
/* Function CATS_FUNCTION_DX6 + instance: End.DX6 to that instance. */
#define CATS_FUNCTION_DX6 0x1000

#endif
