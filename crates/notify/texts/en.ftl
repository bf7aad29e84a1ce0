# The texts of messages in English. docs/rules.md describes the format, and how a rules file replaces a text.
#
# Numbers with units, times and names come as texts. A count is a number: it can select a plural.
# An SMS has 160 characters, or 70 if one of them is not in the GSM alphabet: keep the first texts short.

## Alerts. $what: "ammonia 270 ppb (limit 200)". $title: of the rule.

alert = { $location }: { $what } at { $time }
alert-since = { $location }: { $what } at { $time }, since { $since }
alert-counted = { $location }: { $what } at { $time }, counted since { $since }
# $times: "3 times since 13:40".
alert-repeated = { $location }: { $what } at { $time }, { $times }
alert-no-data = { $location }: { $title } for { $duration }, since { $since }
with-reasons = { $text }: { $reasons }
# $ended: whether the text has its own full stop.
with-action = { $ended ->
    [yes] { $text } { $action }
   *[no] { $text }. { $action }
}
more = +{ $count } more
times = { $count } times since { $since }
breach = { $label } { $value } (limit { $limit })
breach-since = { $breach } since { $since }
breach-counted = { $breach } counted since { $since }
breach-repeated = { $breach } { $times }
deviation = { $value } from its baseline

## Reminders and resolved notices

reminder = { $location }: still { $title } at { $time }, since { $since }
reminder-values = { $location }: still { $title } at { $time }, since { $since }; was { $values } at { $raised }
reminder-template = Still at { $time }, since { $since }: { $text }
# An escalation. $answer: whether somebody took the alert. $text: the text of the alert.
escalated = { $answer ->
    [taken] Not done for { $duration }: { $text }
   *[none] No answer for { $duration }: { $text }
}
escalated-taken = Taken by { $by } at { $time }, not done: { $text }
last-reminder = { $text }; no reading since { $since }; this is the last reminder
resolved = { $location }: { $title } is over at { $time }
resolved-lasted = { $location }: { $title } is over at { $time } (raised { $raised }, lasted { $duration })
data-again = { $location }: sends again at { $time }
data-again-since = { $location }: sends again at { $time } (no data since { $since }, { $duration })

## Subjects

subject = { $title }: { $location }
subject-reminder = Still: { $title }: { $location }
subject-escalated = { $answer ->
    [taken] Not done: { $title }: { $location }
   *[none] No answer: { $title }: { $location }
}

## Emails

email-where = Where: { $location }
email-floor = Floor: { $floor }
email-note = Note: { $note }
email-when = When: { $time }
email-raised = Raised: { $time }
email-device = Device: { $device }
email-alert = { $title } ({ $severity })
email-at = at { $time }
# $distance: the ratio, or the difference with its unit.
email-measured = { $relation ->
    [at] { $label }: { $value }, at the limit of { $limit }
    [just-over] { $label }: { $value }, just over the limit of { $limit }
    [just-under] { $label }: { $value }, just under the limit of { $limit }
    [times] { $label }: { $value }, { $distance } times the limit of { $limit }
    [over] { $label }: { $value }, { $distance } over the limit of { $limit }
   *[under] { $label }: { $value }, { $distance } under the limit of { $limit }
}
# A difference of percentages is in points: "2 %" could mean a ratio.
points = { $count ->
    [one] 1 point
   *[other] { $count } points
}
email-duration = { $state ->
    [no-data] no data for { $duration }, since { $since }
    [counted] counted for { $duration }, since { $since }
    [reminder] lasts { $duration }, since { $since }
    [resolved] lasted { $duration }, since { $since }
   *[firing] for { $duration }, since { $since }
}
email-reason = reason: { $reason }
and-more = and { $count } more
email-blocked = { $count ->
    [one] 1 more alert of this zone was blocked before it.
   *[other] { $count } more alerts of this zone were blocked before it.
}
email-id = { $kind ->
    [device] Device id: { $id }
    [zone] Zone id: { $id }
    [project] Site id: { $id }
    [property] Property id: { $id }
   *[alert] Alert id: { $id }
}
email-rules = { $count ->
    [one] Rule: { $rules }
   *[other] Rules: { $rules }
}
email-answer = Answer (I take it, done, snooze): { $link }
answer-button = Answer: I take it, done, snooze
# At the end of an SMS, if its audience allows links in SMS.
answer = Answer: { $link }
no-sms = Not sent by SMS: { $cause ->
    [quota-unknown] the daily SMS quota could not be read.
   *[quota-reached] the daily SMS quota is used up.
}

## Lists of alerts. $reason: of the suppression. $alerts: "3 alerts".

list-alerts = { $reason ->
    [block] { $count ->
        [one] 1 more alert
       *[other] { $count } more alerts
    }
   *[hours] { $count ->
        [one] 1 alert
       *[other] { $count } alerts
    }
}
list-head = { $location }: { $alerts }
list-sentence = { $reason ->
    [block] { $location }: { $alerts } while alerts of this zone were blocked
    [duty] { $location }: { $alerts } off duty
    [mute] { $location }: { $alerts } while muted
    [snooze] { $location }: { $alerts } while snoozed
   *[hours] { $location }: { $alerts } outside active hours
}
list-explanation = { $reason ->
    [block] Raised while alerts of this zone were blocked, because one had just been sent.
    [duty] Raised while nobody of this audience was on duty.
    [mute] Raised while they were muted.
    [snooze] Raised while people snoozed an alert of the same rule and device.
   *[hours] Raised outside the active hours of their rules.
}
list-newest = Newest: { $time }
list-locations = { $count ->
    [one] { $location } and 1 more location
   *[other] { $location } and { $count } more locations
}
list-title = { $location }, { $title }
list-resolved = { $line } (over since { $since })
list-suppressed = { $line } (and { $count } more suppressed there)
list-over = { $alert } (over)

## Digests

digest-alerts = { $count ->
    [one] 1 alert ({ $severities })
   *[other] { $count } alerts ({ $severities })
}
digest-severity = { $count } { $severity }
digest-all-over = { $count ->
    [one] 1 alert over
   *[other] { $count } alerts over
}
digest-over = { $count } over
digest-suppressed = { $count } more suppressed
digest-explanation = More came at once than is sent one by one, so one message names them all.

## Notices to the operator

notice-rules-refused = { $count ->
    [one] Rules refused: 1 fault
   *[other] Rules refused: { $count } faults
}
notice-rules-refused-text =
    { $file } was changed and cannot be used. The rules that were accepted before it stay in force.

    { $faults }

    What to do: correct these errors and put the file there again.
notice-nothing-arrives = Nothing arrives
notice-nothing-arrives-text =
    No reading has come from any device since { $since }.

    All devices at once are rarely silent: most likely SmartClean's push does not get here any more. Until a reading comes again, no single device is reported as silent.

    What to do: see with `make test-alert` whether a push gets through. If it does, ask SmartClean whether they still push to this URL with these credentials, and which answers they get.
notice-not-subscribed = Nobody is subscribed as { $audiences }
notice-not-subscribed-text =
    These audiences of the rules have no confirmed subscription:
    { $audiences }

    Until they have one, their messages go to everybody.

    What to do: run make subscribe AUDIENCE={ $first } EMAIL=address, and confirm it.
notice-set-aside = A push was not evaluated
notice-set-aside-text =
    { $key } could not be evaluated, and is not tried again. Its readings are kept; their alerts are missing. Other pushes of today that were set aside are also in the folder set-aside, without a notice.

    The last error: { $error }

    What to do: in the data folder, look at the readings with `zstd -dc { $key }`. To have them evaluated again:
    mkdir -p $(dirname to-evaluate/{ $key })
    mv set-aside/{ $key }.json to-evaluate/{ $key }.json
notice-channel-fails = Messages by { $channel } fail
notice-channel-fails-text =
    A message of { $since } could not be sent by { $channel } yet. It is tried again every half hour. Other channels are not affected.

    The last error: { $error }

    What to do: check the table [{ $channel }] of the rules file, and the server that it names.
notice-recipient-refuses = A recipient refuses messages
notice-recipient-refuses-text =
    { $recipient } refused a message, which is not sent there again.

    The answer: { $reply }

    What to do: correct or remove the address in the rules file.

## Words

severity = { $severity ->
    [low] low
    [medium] medium
    [high] high
    [critical] critical
    [ok] ok
    [over] over
   *[notice] notice
}
device-id = device { $id }
unnamed-device = { $device } without a name
# Shorter durations have two parts: "1 h 30 min".
duration = { $unit ->
    [s] { $count } s
    [min] { $count } min
    [h] { $count } h
   *[days] { $count } days
}
weekday = { $day ->
    [1] Mon
    [2] Tue
    [3] Wed
    [4] Thu
    [5] Fri
    [6] Sat
   *[7] Sun
}
month = { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
}
date = { $weekday } { $day } { $month } { $year }
day-month = { $day } { $month }
day-month-year = { $day } { $month } { $year }

## Titles of the built-in rules, as in rules/pack.toml: title-RULE

title-high-usage = High usage
title-bad-feedback = Bad feedback
title-toilet-paper-low = Toilet paper low
title-paper-towels-low = Paper towels low
title-soap-low = Soap low
title-bin-full = Bin nearly full
title-spill = Wet floor
title-air-unusual = Unusual air
title-ammonia-wired = Bad smell
title-ammonia-lite = Bad smell
title-air-quality-lite = Bad air
title-carbon-dioxide = Stale air
title-fine-dust = Fine dust
title-dust = Dust
title-volatile-organics = Chemical vapours
title-formaldehyde = Formaldehyde
title-tree-tilt = Leaning tree
title-battery-people-counter = Weak battery
title-battery-occupancy = Weak battery
title-battery-tilt = Weak battery
title-silent = No data
title-test-alert = Test alert

## What people should do, as in rules/pack.toml: action-RULE

action-high-usage = Check the room and clean it
action-bad-feedback = Go and put right what visitors complain about
action-toilet-paper-low = Refill toilet paper
action-paper-towels-low = Refill paper towels
action-soap-low = Refill soap
action-bin-full = Empty the bin
action-spill = Mop the floor and put up a wet floor sign
action-air-unusual = Find where the smell comes from, and clean there
action-ammonia-wired = Clean and flush the toilets, then air the room
action-ammonia-lite = Clean and flush the toilets, then air the room
action-air-quality-lite = Air the room and check the ventilation
action-carbon-dioxide = Air the room and check the ventilation
action-fine-dust = Find the source of the dust and check the air filter
action-dust = Find the source of the dust and clean the floor
action-volatile-organics = Air the room, and close paints and cleaning agents
action-formaldehyde = Air the room and look for new furniture or building work
action-tree-tilt = Keep people away and have the tree inspected
action-battery-people-counter = Replace the battery of the people counter
action-battery-occupancy = Replace the battery of the occupancy sensor
action-battery-tilt = Replace the battery of the tilt sensor
action-silent = Check the power, the battery and the gateway of the sensor
action-test-alert = Do nothing: this is a test

## Metrics: label-LABEL. A flag that is not set: label-no-LABEL, or label-not-LABEL

label-entries = entries
label-exits = exits
label-battery = battery
label-rating = rating
label-stars = stars
label-negative-feedback = negative feedback
label-no-negative-feedback = no negative feedback
label-toilet-paper-left = toilet paper left
label-paper-towels-left = paper towels left
label-soap-left = soap left
label-free-space = free space
label-distance = distance
label-spill = spill
label-no-spill = no spill
label-wet-area = wet area
label-ammonia = ammonia
label-unusual-ammonia-z-score = unusual ammonia, z-score
label-expected-ammonia = expected ammonia
label-alcohol-vapour = alcohol vapour
label-unusual-alcohol-vapour-z-score = unusual alcohol vapour, z-score
label-expected-alcohol-vapour = expected alcohol vapour
label-nitrogen-dioxide = nitrogen dioxide
label-unusual-nitrogen-dioxide-z-score = unusual nitrogen dioxide, z-score
label-expected-nitrogen-dioxide = expected nitrogen dioxide
label-signal-strength = signal strength
label-air-quality-index = air quality index
label-humidity = humidity
label-temperature = temperature
label-carbon-dioxide = carbon dioxide
label-formaldehyde = formaldehyde
label-volatile-organic-compounds = volatile organic compounds
label-fine-dust-PM2-5 = fine dust PM2.5
label-dust-PM10 = dust PM10
label-air-pressure = air pressure
label-light-level = light level
label-motion = motion
label-no-motion = no motion
label-occupied = occupied
label-not-occupied = not occupied
label-tilt-on-X = tilt on X
label-tilt-on-Y = tilt on Y
label-tilt-on-Z = tilt on Z

## Device types: device-TITLE

device-people-counter = people counter
device-directional-people-counter = directional people counter
device-feedback-tablet = feedback tablet
device-toilet-roll-sensor = toilet roll sensor
device-paper-towel-sensor = paper towel sensor
device-soap-sensor = soap sensor
device-bin-sensor = bin sensor
device-spill-detector = spill detector
device-air-quality-sensor = air quality sensor
device-air-quality-sensor-lite = air quality sensor lite
device-air-quality-sensor-10-in-1 = air quality sensor 10-in-1
device-cubicle-occupancy-sensor = cubicle occupancy sensor
device-desk-occupancy-sensor = desk occupancy sensor
device-tree-tilt-sensor = tree tilt sensor
device-temperature-and-humidity-sensor = temperature and humidity sensor
device-device = device
