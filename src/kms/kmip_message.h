/*-------------------------------------------------------------------------
 *
 * kmip_message.h
 *	  Messages of KMIP: tags, and what encloses every request and reply.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_KMIP_MESSAGE_H
#define PGSEAL_KMIP_MESSAGE_H

#include "kms/remote.h"
#include "kms/ttlv.h"

#define PGSEAL_KMIP_PORT			5696	/* IANA: kmip */

/* KMIP 1.4, section 9.1.3.1: tags */
#define TAG_ATTRIBUTE				0x420008
#define TAG_ATTRIBUTE_NAME			0x42000A
#define TAG_ATTRIBUTE_VALUE			0x42000B
#define TAG_AUTHENTICATION			0x42000C
#define TAG_BATCH_COUNT				0x42000D
#define TAG_BATCH_ITEM				0x42000F
#define TAG_BLOCK_CIPHER_MODE		0x420011
#define TAG_CREDENTIAL				0x420023
#define TAG_CREDENTIAL_TYPE			0x420024
#define TAG_CREDENTIAL_VALUE		0x420025
#define TAG_CRYPTOGRAPHIC_ALGORITHM 0x420028
#define TAG_CRYPTOGRAPHIC_PARAMETERS 0x42002B
#define TAG_IV_COUNTER_NONCE		0x42003D
#define TAG_MAXIMUM_ITEMS			0x42004F
#define TAG_NAME					0x420053
#define TAG_NAME_TYPE				0x420054
#define TAG_NAME_VALUE				0x420055
#define TAG_OBJECT_TYPE				0x420057
#define TAG_OPERATION				0x42005C
#define TAG_PROTOCOL_VERSION		0x420069
#define TAG_PROTOCOL_VERSION_MAJOR	0x42006A
#define TAG_PROTOCOL_VERSION_MINOR	0x42006B
#define TAG_REQUEST_HEADER			0x420077
#define TAG_REQUEST_MESSAGE			0x420078
#define TAG_REQUEST_PAYLOAD			0x420079
#define TAG_RESPONSE_MESSAGE		0x42007B
#define TAG_RESPONSE_PAYLOAD		0x42007C
#define TAG_RESULT_MESSAGE			0x42007D
#define TAG_RESULT_REASON			0x42007E
#define TAG_RESULT_STATUS			0x42007F
#define TAG_STATE					0x42008D
#define TAG_UNIQUE_IDENTIFIER		0x420094
#define TAG_USERNAME				0x420099
#define TAG_PASSWORD				0x4200A1
#define TAG_DATA					0x4200C2
#define TAG_RANDOM_IV				0x4200C5
#define TAG_IV_LENGTH				0x4200CD
#define TAG_TAG_LENGTH				0x4200CE
#define TAG_AEAD_ADDITIONAL_DATA	0x4200FE
#define TAG_AEAD_TAG				0x4200FF
#define TAG_ATTRIBUTES				0x420125	/* since 2.0 */

/* Section 9.1.3.2: enumerations */
#define OPERATION_LOCATE			0x08
#define OPERATION_GET_ATTRIBUTES	0x0B
#define OPERATION_ENCRYPT			0x1F
#define OPERATION_DECRYPT			0x20
#define MODE_GCM					0x09
#define ALGORITHM_AES				0x03
#define OBJECT_SYMMETRIC_KEY		0x02
#define NAME_UNINTERPRETED_TEXT		0x01
#define STATE_ACTIVE				0x02
#define CREDENTIAL_USERNAME			0x01
#define STATUS_SUCCESS				0x00
#define STATUS_PENDING				0x02

/* Hints */
#define CHECK_KEY		"Check the options \"key_id\" and \"key_name\", and that they mean exactly one active AES key, which this client may use."
#define NEEDS_GCM		"The server must do Encrypt and Decrypt with AES in GCM mode (KMIP 1.4 or later), and the key's usage mask must allow both."

/* Where the structures that enclose a payload begin */
typedef struct PgsealKmipMessage
{
	PgsealSecretString *body;
	size_t		message;
	size_t		item;
	size_t		payload;
} PgsealKmipMessage;

/* The payload goes in between */
extern PgsealKmipMessage pgseal_kmip_begin(PgsealHttpRequest *out_request,
										   const PgsealKmsServer *server, uint32 operation,
										   const char *password);
extern void pgseal_kmip_end(const PgsealKmipMessage *message);

/* The payload of the reply's one batch item */
extern PgsealVerdict pgseal_kmip_read_payload(PgsealTtlv *out_payload, PgsealKmsError *out_error,
											  const PgsealHttpResponse *response);

#endif							/* PGSEAL_KMIP_MESSAGE_H */
