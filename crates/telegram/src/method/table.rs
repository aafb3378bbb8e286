//! The list itself. What is not on it is refused, so a newer method is until somebody has read what
//! it can do.

use super::{
    Method,
    Rule::{Forward, Local, Refused},
};

/// The version of the Bot API that the list knows, and its date.
pub const LISTED: (&str, &str) = ("10.2", "2026-07-14");

type Names = &'static [&'static str];

const CHAT: Names = &["chat_id"];
const FROM: Names = &["chat_id", "from_chat_id"];
const MEMBER: Names = &["chat_id", "user_id"];
/// How something is sent. Not here: `business_connection_id`, which speaks in another account's
/// chats; `receiver_user_id`, which addresses another user; `allow_paid_broadcast`, which costs.
const SEND: Names = &[
    "message_thread_id",
    "direct_messages_topic_id",
    "disable_notification",
    "protect_content",
    "message_effect_id",
    "reply_parameters",
    "reply_to_message_id",
    "allow_sending_without_reply",
    "reply_markup",
];
const TEXT: Names =
    &["text", "parse_mode", "entities", "link_preview_options", "disable_web_page_preview"];
const CAPTION: Names = &["caption", "parse_mode", "caption_entities", "show_caption_above_media"];
const EDIT: Names = &["message_id", "reply_markup"];
const PLACE: Names = &[
    "latitude",
    "longitude",
    "horizontal_accuracy",
    "live_period",
    "heading",
    "proximity_alert_radius",
];
const SIZE: Names = &["duration", "width", "height", "has_spoiler"];

const fn forward(
    name: &'static str,
    chats: Names,
    media: Names,
    others: &'static [Names],
) -> Method {
    Method { name, rule: Forward, chats, media, others }
}

const fn other(name: &'static str, rule: super::Rule) -> Method {
    Method { name, rule, chats: &[], media: &[], others: &[] }
}

/// Every method of the Bot API that is known here.
pub static METHODS: &[Method] = &[
    // What the relay answers.
    other("getUpdates", Local),
    other("setWebhook", Local),
    other("deleteWebhook", Local),
    other("getWebhookInfo", Local),
    other("logOut", Local),
    other("close", Local),
    // Sending.
    forward("getMe", &[], &[], &[]),
    forward("sendMessage", CHAT, &[], &[SEND, TEXT]),
    forward(
        "sendMessageDraft",
        CHAT,
        &[],
        &[&["message_thread_id", "draft_id", "text", "parse_mode", "entities"]],
    ),
    forward("sendPhoto", CHAT, &["photo"], &[SEND, CAPTION, &["has_spoiler"]]),
    forward("sendLivePhoto", CHAT, &["live_photo", "photo"], &[SEND, CAPTION, &["has_spoiler"]]),
    forward(
        "sendAudio",
        CHAT,
        &["audio", "thumbnail"],
        &[SEND, CAPTION, &["duration", "performer", "title"]],
    ),
    forward(
        "sendDocument",
        CHAT,
        &["document", "thumbnail"],
        &[SEND, CAPTION, &["disable_content_type_detection"]],
    ),
    forward(
        "sendVideo",
        CHAT,
        &["video", "thumbnail", "cover"],
        &[SEND, CAPTION, SIZE, &["start_timestamp", "supports_streaming"]],
    ),
    forward("sendAnimation", CHAT, &["animation", "thumbnail"], &[SEND, CAPTION, SIZE]),
    forward("sendVoice", CHAT, &["voice"], &[SEND, CAPTION, &["duration"]]),
    forward("sendVideoNote", CHAT, &["video_note", "thumbnail"], &[SEND, &["duration", "length"]]),
    forward("sendSticker", CHAT, &["sticker"], &[SEND, &["emoji"]]),
    forward("sendMediaGroup", CHAT, &["media"], &[SEND]),
    forward("sendLocation", CHAT, &[], &[SEND, PLACE]),
    forward(
        "sendVenue",
        CHAT,
        &[],
        &[
            SEND,
            PLACE,
            &[
                "title",
                "address",
                "foursquare_id",
                "foursquare_type",
                "google_place_id",
                "google_place_type",
            ],
        ],
    ),
    forward(
        "sendContact",
        CHAT,
        &[],
        &[SEND, &["phone_number", "first_name", "last_name", "vcard"]],
    ),
    forward("sendPoll", CHAT, &[], &[SEND, POLL]),
    forward("sendDice", CHAT, &[], &[SEND, &["emoji"]]),
    forward("sendChatAction", CHAT, &[], &[&["message_thread_id", "action"]]),
    forward("forwardMessage", FROM, &[], &[SEND, &["message_id", "video_start_timestamp"]]),
    forward("forwardMessages", FROM, &[], &[SEND, &["message_ids"]]),
    forward("copyMessage", FROM, &[], &[SEND, CAPTION, &["message_id", "video_start_timestamp"]]),
    forward("copyMessages", FROM, &[], &[SEND, &["message_ids", "remove_caption"]]),
    // Changing what was sent. Not here: `inline_message_id`, which is in no chat that we know.
    forward("editMessageText", CHAT, &[], &[EDIT, TEXT]),
    forward("editMessageCaption", CHAT, &[], &[EDIT, CAPTION]),
    forward("editMessageMedia", CHAT, &["media"], &[EDIT]),
    forward("editMessageReplyMarkup", CHAT, &[], &[EDIT]),
    forward("editMessageLiveLocation", CHAT, &[], &[EDIT, PLACE]),
    forward("stopMessageLiveLocation", CHAT, &[], &[EDIT]),
    forward("stopPoll", CHAT, &[], &[EDIT]),
    forward("deleteMessage", CHAT, &[], &[&["message_id"]]),
    forward("deleteMessages", CHAT, &[], &[&["message_ids"]]),
    forward("setMessageReaction", CHAT, &[], &[&["message_id", "reaction", "is_big"]]),
    forward("deleteMessageReaction", MEMBER, &[], &[&["message_id"]]),
    forward("pinChatMessage", CHAT, &[], &[&["message_id", "disable_notification"]]),
    forward("unpinChatMessage", CHAT, &[], &[&["message_id"]]),
    forward("unpinAllChatMessages", CHAT, &[], &[]),
    // The `url` of an answer would open a page with the person's name on it.
    forward(
        "answerCallbackQuery",
        &[],
        &[],
        &[&["callback_query_id", "text", "show_alert", "cache_time"]],
    ),
    // Reading.
    forward("getFile", &[], &[], &[&["file_id"]]),
    forward("getChat", CHAT, &[], &[]),
    forward("getChatAdministrators", CHAT, &[], &[&["return_bots"]]),
    forward("getChatMember", MEMBER, &[], &[]),
    forward("getChatMemberCount", CHAT, &[], &[]),
    forward("getChatMenuButton", CHAT, &[], &[]),
    forward("getUserProfilePhotos", &["user_id"], &[], &[&["offset", "limit"]]),
    forward("getCustomEmojiStickers", &[], &[], &[&["custom_emoji_ids"]]),
    forward("getStickerSet", &[], &[], &[&["name"]]),
    forward("getForumTopicIconStickers", &[], &[], &[]),
    forward("getMyName", &[], &[], &[&["language_code"]]),
    forward("getMyDescription", &[], &[], &[&["language_code"]]),
    forward("getMyShortDescription", &[], &[], &[&["language_code"]]),
    // Commands of a chat are seen in that chat, all others by whoever finds the bot.
    forward("getMyCommands", &[], &[], &[&["scope", "language_code"]]),
    forward("setMyCommands", &["scope.chat_id"], &[], &[&["scope", "commands", "language_code"]]),
    forward("deleteMyCommands", &[], &[], &[&["scope", "language_code"]]),
    // Topics of a chat; private chats have them too.
    forward("createForumTopic", CHAT, &[], &[&["name", "icon_color", "icon_custom_emoji_id"]]),
    forward("editForumTopic", CHAT, &[], &[&["message_thread_id", "name", "icon_custom_emoji_id"]]),
    forward("closeForumTopic", CHAT, &[], &[&["message_thread_id"]]),
    forward("reopenForumTopic", CHAT, &[], &[&["message_thread_id"]]),
    forward("deleteForumTopic", CHAT, &[], &[&["message_thread_id"]]),
    forward("unpinAllForumTopicMessages", CHAT, &[], &[&["message_thread_id"]]),
    // Rich messages hold pictures by address, in a markup of their own.
    other("sendRichMessage", Refused),
    other("sendRichMessageDraft", Refused),
    // To one of many, by user; in 10.2.
    other("editEphemeralMessageText", Refused),
    other("editEphemeralMessageMedia", Refused),
    other("editEphemeralMessageCaption", Refused),
    other("editEphemeralMessageReplyMarkup", Refused),
    other("deleteEphemeralMessage", Refused),
    // Inline mode, web apps and guests: answers go to chats that nobody names.
    other("answerInlineQuery", Refused),
    other("answerWebAppQuery", Refused),
    other("answerGuestQuery", Refused),
    other("savePreparedInlineMessage", Refused),
    other("savePreparedKeyboardButton", Refused),
    other("setChatMenuButton", Refused),
    // The bot's public face.
    other("setMyName", Refused),
    other("setMyDescription", Refused),
    other("setMyShortDescription", Refused),
    other("setMyProfilePhoto", Refused),
    other("removeMyProfilePhoto", Refused),
    other("setMyDefaultAdministratorRights", Refused),
    other("getMyDefaultAdministratorRights", Refused),
    // Managed bots.
    other("getManagedBotToken", Refused),
    other("replaceManagedBotToken", Refused),
    other("getManagedBotAccessSettings", Refused),
    other("setManagedBotAccessSettings", Refused),
    // Money, gifts and games.
    other("sendInvoice", Refused),
    other("createInvoiceLink", Refused),
    other("answerShippingQuery", Refused),
    other("answerPreCheckoutQuery", Refused),
    other("sendPaidMedia", Refused),
    other("getMyStarBalance", Refused),
    other("getStarTransactions", Refused),
    other("refundStarPayment", Refused),
    other("editUserStarSubscription", Refused),
    other("getAvailableGifts", Refused),
    other("sendGift", Refused),
    other("giftPremiumSubscription", Refused),
    other("getUserGifts", Refused),
    other("getChatGifts", Refused),
    other("convertGiftToStars", Refused),
    other("upgradeGift", Refused),
    other("transferGift", Refused),
    other("sendGame", Refused),
    other("setGameScore", Refused),
    other("getGameHighScores", Refused),
    // Other people's accounts.
    other("getBusinessConnection", Refused),
    other("readBusinessMessage", Refused),
    other("deleteBusinessMessages", Refused),
    other("setBusinessAccountName", Refused),
    other("setBusinessAccountUsername", Refused),
    other("setBusinessAccountBio", Refused),
    other("setBusinessAccountProfilePhoto", Refused),
    other("removeBusinessAccountProfilePhoto", Refused),
    other("setBusinessAccountGiftSettings", Refused),
    other("getBusinessAccountStarBalance", Refused),
    other("transferBusinessAccountStars", Refused),
    other("getBusinessAccountGifts", Refused),
    other("sendChecklist", Refused),
    other("editMessageChecklist", Refused),
    other("postStory", Refused),
    other("repostStory", Refused),
    other("editStory", Refused),
    other("deleteStory", Refused),
    other("setPassportDataErrors", Refused),
    other("setUserEmojiStatus", Refused),
    other("getUserChatBoosts", Refused),
    other("getUserProfileAudios", Refused),
    other("getUserPersonalChatMessages", Refused),
    // Stickers are public.
    other("uploadStickerFile", Refused),
    other("createNewStickerSet", Refused),
    other("addStickerToSet", Refused),
    other("replaceStickerInSet", Refused),
    other("setStickerPositionInSet", Refused),
    other("deleteStickerFromSet", Refused),
    other("setStickerEmojiList", Refused),
    other("setStickerKeywords", Refused),
    other("setStickerMaskPosition", Refused),
    other("setStickerSetTitle", Refused),
    other("setStickerSetThumbnail", Refused),
    other("setCustomEmojiStickerSetThumbnail", Refused),
    other("deleteStickerSet", Refused),
    // Running groups and channels is nobody's business here.
    other("verifyUser", Refused),
    other("verifyChat", Refused),
    other("removeUserVerification", Refused),
    other("removeChatVerification", Refused),
    other("leaveChat", Refused),
    other("banChatMember", Refused),
    other("unbanChatMember", Refused),
    other("restrictChatMember", Refused),
    other("promoteChatMember", Refused),
    other("setChatAdministratorCustomTitle", Refused),
    other("setChatMemberTag", Refused),
    other("banChatSenderChat", Refused),
    other("unbanChatSenderChat", Refused),
    other("setChatPermissions", Refused),
    other("exportChatInviteLink", Refused),
    other("createChatInviteLink", Refused),
    other("editChatInviteLink", Refused),
    other("createChatSubscriptionInviteLink", Refused),
    other("editChatSubscriptionInviteLink", Refused),
    other("revokeChatInviteLink", Refused),
    other("approveChatJoinRequest", Refused),
    other("declineChatJoinRequest", Refused),
    other("answerChatJoinRequestQuery", Refused),
    other("sendChatJoinRequestWebApp", Refused),
    other("approveSuggestedPost", Refused),
    other("declineSuggestedPost", Refused),
    other("setChatPhoto", Refused),
    other("deleteChatPhoto", Refused),
    other("setChatTitle", Refused),
    other("setChatDescription", Refused),
    other("setChatStickerSet", Refused),
    other("deleteChatStickerSet", Refused),
    other("editGeneralForumTopic", Refused),
    other("closeGeneralForumTopic", Refused),
    other("reopenGeneralForumTopic", Refused),
    other("hideGeneralForumTopic", Refused),
    other("unhideGeneralForumTopic", Refused),
    other("unpinAllGeneralForumTopicMessages", Refused),
    other("deleteAllMessageReactions", Refused),
];

/// Not here: `media` and `explanation_media`, which may be an address.
const POLL: Names = &[
    "question",
    "question_parse_mode",
    "question_entities",
    "options",
    "is_anonymous",
    "type",
    "allows_multiple_answers",
    "allows_revoting",
    "shuffle_options",
    "allow_adding_options",
    "hide_results_until_closes",
    "correct_option_id",
    "correct_option_ids",
    "explanation",
    "explanation_parse_mode",
    "explanation_entities",
    "open_period",
    "close_date",
    "is_closed",
    "description",
    "description_parse_mode",
    "description_entities",
];
