# The texts of messages in simplified Chinese. NOT REVIEWED BY A NATIVE SPEAKER. Corrections are welcome.
# en.ftl describes the variables.

## Alerts

alert = { $location }：{ $what }，{ $time }
alert-since = { $location }：{ $what }，{ $time }，自{ $since }起
alert-counted = { $location }：{ $what }，{ $time }，自{ $since }起累计
alert-repeated = { $location }：{ $what }，{ $time }，{ $times }
alert-no-data = { $location }：{ $title }已{ $duration }，自{ $since }起
with-reasons = { $text }：{ $reasons }
with-action = { $ended ->
    [yes] { $text }{ $action }
   *[no] { $text }。{ $action }
}
more = 另{ $count }项
times = 自{ $since }起{ $count }次
breach = { $label } { $value }（限值 { $limit }）
breach-since = { $breach }自{ $since }起
breach-counted = { $breach }自{ $since }起累计
breach-repeated = { $breach }{ $times }
deviation = 偏离基准{ $value }

## Reminders and resolved notices

reminder = { $location }：{ $title }，{ $time }仍未解除，自{ $since }起
reminder-values = { $location }：{ $title }，{ $time }仍未解除，自{ $since }起；{ $raised }时{ $values }
reminder-template = { $time }仍未解除，自{ $since }起：{ $text }
escalated = { $answer ->
    [taken] { $duration }仍未处理完：{ $text }
   *[none] { $duration }无人回应：{ $text }
}
escalated-taken = { $by }于{ $time }接手，仍未处理完：{ $text }
last-reminder = { $text }；自{ $since }起无读数；这是最后一次提醒
resolved = { $location }：{ $title }已于{ $time }解除
resolved-lasted = { $location }：{ $title }已于{ $time }解除（{ $raised }报警，持续{ $duration }）
data-again = { $location }：{ $time }恢复发送数据
data-again-since = { $location }：{ $time }恢复发送数据（自{ $since }起无数据，共{ $duration }）

## Subjects

subject = { $title }：{ $location }
subject-reminder = 仍未解除：{ $title }：{ $location }
subject-escalated = { $answer ->
    [taken] 未处理完：{ $title }：{ $location }
   *[none] 无人回应：{ $title }：{ $location }
}

## Emails

email-where = 地点：{ $location }
email-floor = 楼层：{ $floor }
email-note = 备注：{ $note }
email-when = 时间：{ $time }
email-raised = 报警时间：{ $time }
email-device = 设备：{ $device }
email-alert = { $title }（{ $severity }）
email-at = 时间：{ $time }
email-measured = { $relation ->
    [at] { $label }：{ $value }，等于限值{ $limit }
    [just-over] { $label }：{ $value }，略高于限值{ $limit }
    [just-under] { $label }：{ $value }，略低于限值{ $limit }
    [times] { $label }：{ $value }，为限值{ $limit }的{ $distance }倍
    [over] { $label }：{ $value }，高于限值{ $limit }，相差{ $distance }
   *[under] { $label }：{ $value }，低于限值{ $limit }，相差{ $distance }
}
points = { $count }个百分点
email-duration = { $state ->
    [no-data] 无数据{ $duration }，自{ $since }起
    [counted] 累计{ $duration }，自{ $since }起
    [reminder] 已持续{ $duration }，自{ $since }起
    [resolved] 共持续{ $duration }，自{ $since }起
   *[firing] 持续{ $duration }，自{ $since }起
}
email-reason = 原因：{ $reason }
and-more = 另有{ $count }项
email-blocked = 此前该区域另有{ $count }条警报被暂停发送。
email-id = { $kind ->
    [device] 设备编号：{ $id }
    [zone] 区域编号：{ $id }
    [project] 项目编号：{ $id }
    [property] 物业编号：{ $id }
   *[alert] 警报编号：{ $id }
}
email-rules = 规则：{ $rules }
email-answer = 回复（我来处理、已完成、稍后提醒）：{ $link }
answer-button = 回复：我来处理、已完成、稍后提醒
answer = 回复：{ $link }
no-sms = 未发送短信：{ $cause ->
    [quota-unknown] 无法读取每日短信限额。
   *[quota-reached] 每日短信限额已用完。
}

## Lists of alerts

list-alerts = { $reason ->
    [block] 另有{ $count }条警报
   *[hours] { $count }条警报
}
list-head = { $location }：{ $alerts }
list-sentence = { $reason ->
    [block] { $location }：该区域警报暂停期间{ $alerts }
    [duty] { $location }：无人值班期间有{ $alerts }
    [mute] { $location }：静音期间有{ $alerts }
    [snooze] { $location }：暂缓期间有{ $alerts }
   *[hours] { $location }：非工作时段有{ $alerts }
}
list-explanation = { $reason ->
    [block] 这些警报发生在该区域警报暂停期间，因为之前刚发送过一条。
    [duty] 这些警报发生时该组无人值班。
    [mute] 这些警报发生在静音期间。
    [snooze] 这些警报发生在同一规则和设备的警报暂缓期间。
   *[hours] 这些警报发生在规则的工作时段之外。
}
list-newest = 最新：{ $time }
list-locations = { $location }和另外{ $count }处
list-title = { $location }，{ $title }
list-resolved = { $line }（已于{ $since }解除）
list-suppressed = { $line }（该处另有{ $count }条未发送）
list-over = { $alert }（已解除）

## Digests

digest-alerts = { $count }条警报（{ $severities }）
digest-severity = { $severity }{ $count }条
digest-all-over = { $count }条警报已解除
digest-over = { $count }条已解除
digest-suppressed = 另有{ $count }条未发送
digest-explanation = 同时发生的警报过多，无法逐条发送，因此在一封邮件中全部列出。

## Notices to the operator

notice-rules-refused = 规则被拒绝：{ $count }处错误
notice-rules-refused-text =
    { $file }已更改，但无法使用。之前接受的规则继续有效。

    { $faults }

    处理方法：更正这些错误，然后重新放置该文件。
notice-nothing-arrives = 没有收到数据
notice-nothing-arrives-text =
    自{ $since }起，没有收到任何设备的读数。

    所有设备同时沉默的情况很少：很可能是 SmartClean 的推送无法到达。在再次收到读数之前，不会报告单个设备无数据。

    处理方法：用 `make test-alert` 检查推送能否到达。如果能到达，请询问 SmartClean 是否仍使用这些凭据推送到此网址，以及得到的响应。
notice-not-subscribed = 无人订阅：{ $audiences }
notice-not-subscribed-text =
    规则中的以下接收组没有已确认的订阅：
    { $audiences }

    在有订阅之前，它们的消息发送给所有人。

    处理方法：运行 make subscribe AUDIENCE={ $first } EMAIL=address，并确认订阅。
notice-set-aside = 有一次推送未被评估
notice-set-aside-text =
    { $key }无法评估，不会再次尝试。其读数已保存，但缺少警报。当天其他类似的推送也在 set-aside 文件夹中，不再另行通知。

    最后的错误：{ $error }

    处理方法：在数据文件夹中，用 `zstd -dc { $key }` 查看读数。如需重新评估：
    mkdir -p $(dirname to-evaluate/{ $key })
    mv set-aside/{ $key }.json to-evaluate/{ $key }.json
notice-channel-fails = 通过 { $channel } 发送消息失败
notice-channel-fails-text =
    { $since }的一条消息仍未能通过 { $channel } 发送，每半小时重试一次。其他渠道不受影响。

    最后的错误：{ $error }

    处理方法：检查规则文件中的 [{ $channel }] 表，以及其中指定的服务器。
notice-recipient-refuses = 有收件方拒收消息
notice-recipient-refuses-text =
    { $recipient } 拒收了一条消息，不会再次发送。

    答复：{ $reply }

    处理方法：在规则文件中更正或删除该地址。

## Words

severity = { $severity ->
    [low] 低
    [medium] 中
    [high] 高
    [critical] 紧急
    [ok] 已解除
    [over] 已解除
   *[notice] 通知
}
device-id = 设备 { $id }
unnamed-device = 未命名的{ $device }
duration = { $unit ->
    [s] { $count }秒
    [min] { $count }分钟
    [h] { $count }小时
   *[days] { $count }天
}
weekday = { $day ->
    [1] 周一
    [2] 周二
    [3] 周三
    [4] 周四
    [5] 周五
    [6] 周六
   *[7] 周日
}
month = { $month }月
date = { $year }年{ $month }{ $day }日{ $weekday }
day-month = { $month }{ $day }日
day-month-year = { $year }年{ $month }{ $day }日

## Titles of the built-in rules

title-high-usage = 使用频繁
title-bad-feedback = 差评
title-toilet-paper-low = 卫生纸不足
title-paper-towels-low = 擦手纸不足
title-soap-low = 洗手液不足
title-bin-full = 垃圾桶将满
title-spill = 地面有水
title-air-unusual = 空气异常
title-ammonia-wired = 异味
title-ammonia-lite = 异味
title-air-quality-lite = 空气质量差
title-carbon-dioxide = 空气不流通
title-fine-dust = 细颗粒物超标
title-dust = 颗粒物超标
title-volatile-organics = 化学气体
title-formaldehyde = 甲醛超标
title-tree-tilt = 树木倾斜
title-battery-people-counter = 电量不足
title-battery-occupancy = 电量不足
title-battery-tilt = 电量不足
title-silent = 无数据
title-test-alert = 测试警报

## What people should do

action-high-usage = 检查并清洁该处
action-bad-feedback = 前往处理访客反映的问题
action-toilet-paper-low = 补充卫生纸
action-paper-towels-low = 补充擦手纸
action-soap-low = 补充洗手液
action-bin-full = 清空垃圾桶
action-spill = 拖干地面并放置小心地滑警示牌
action-air-unusual = 查找异味来源并清洁
action-ammonia-wired = 清洁并冲洗厕所，然后通风
action-ammonia-lite = 清洁并冲洗厕所，然后通风
action-air-quality-lite = 通风并检查通风系统
action-carbon-dioxide = 通风并检查通风系统
action-fine-dust = 查找灰尘来源并检查空气滤网
action-dust = 查找灰尘来源并清洁地面
action-volatile-organics = 通风，并盖好油漆和清洁剂
action-formaldehyde = 通风，并检查是否有新家具或施工
action-tree-tilt = 疏散人员并请人检查树木
action-battery-people-counter = 更换人流计数器的电池
action-battery-occupancy = 更换占用传感器的电池
action-battery-tilt = 更换倾斜传感器的电池
action-silent = 检查传感器的电源、电池和网关
action-test-alert = 无需处理：这是测试

## Metrics

label-entries = 进入人次
label-exits = 离开人次
label-battery = 电池
label-rating = 评分
label-stars = 星级
label-negative-feedback = 负面反馈
label-no-negative-feedback = 无负面反馈
label-toilet-paper-left = 卫生纸余量
label-paper-towels-left = 擦手纸余量
label-soap-left = 洗手液余量
label-free-space = 剩余空间
label-distance = 距离
label-spill = 积水
label-no-spill = 无积水
label-wet-area = 积水面积
label-ammonia = 氨气
label-unusual-ammonia-z-score = 氨气异常，z 值
label-expected-ammonia = 预期氨气
label-alcohol-vapour = 酒精蒸气
label-unusual-alcohol-vapour-z-score = 酒精蒸气异常，z 值
label-expected-alcohol-vapour = 预期酒精蒸气
label-nitrogen-dioxide = 二氧化氮
label-unusual-nitrogen-dioxide-z-score = 二氧化氮异常，z 值
label-expected-nitrogen-dioxide = 预期二氧化氮
label-signal-strength = 信号强度
label-air-quality-index = 空气质量指数
label-humidity = 湿度
label-temperature = 温度
label-carbon-dioxide = 二氧化碳
label-formaldehyde = 甲醛
label-volatile-organic-compounds = 挥发性有机物
label-fine-dust-PM2-5 = PM2.5
label-dust-PM10 = PM10
label-air-pressure = 气压
label-light-level = 光照等级
label-motion = 有人活动
label-no-motion = 无人活动
label-occupied = 有人
label-not-occupied = 无人
label-tilt-on-X = X 轴倾斜
label-tilt-on-Y = Y 轴倾斜
label-tilt-on-Z = Z 轴倾斜

## Device types

device-people-counter = 人流计数器
device-directional-people-counter = 双向人流计数器
device-feedback-tablet = 反馈平板
device-toilet-roll-sensor = 卫生纸传感器
device-paper-towel-sensor = 擦手纸传感器
device-soap-sensor = 洗手液传感器
device-bin-sensor = 垃圾桶传感器
device-spill-detector = 积水检测器
device-air-quality-sensor = 空气质量传感器
device-air-quality-sensor-lite = 简易空气质量传感器
device-air-quality-sensor-10-in-1 = 十合一空气质量传感器
device-cubicle-occupancy-sensor = 隔间占用传感器
device-desk-occupancy-sensor = 工位占用传感器
device-tree-tilt-sensor = 树木倾斜传感器
device-temperature-and-humidity-sensor = 温湿度传感器
device-device = 设备
