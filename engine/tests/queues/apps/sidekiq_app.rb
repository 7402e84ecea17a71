# Sidekiq as an app uses it. Its process requires this file; as a program it is COMMAND ARGUMENTS, and prints what Sidekiq
# itself says: the queue's size, scheduled, to be retried. The server is at REDIS.
require "json"
require "sidekiq"
require "sidekiq/api"

address = { url: ENV.fetch("REDIS") }
Sidekiq.configure_client { |config| config.redis = address }
Sidekiq.configure_server { |config| config.redis = address }

# Runs until it is released.
class Hold
  include Sidekiq::Worker

  def perform
    Redis.new(url: ENV.fetch("REDIS")).blpop("release", timeout: 60)
  end
end

# Is to be retried.
class Failing
  include Sidekiq::Worker

  def perform
    raise "as told"
  end
end

if $PROGRAM_NAME == __FILE__
  command, queue, argument = ARGV
  case command
  when "push" then argument.to_i.times { Hold.set(queue: queue).perform_async }
  when "in" then Hold.set(queue: queue).perform_in(argument.to_f)
  when "due"
    # Its time comes while no process is there to move it.
    Hold.set(queue: queue).perform_in(3600)
    set = Sidekiq::ScheduledSet.new
    set.max_by(&:at).reschedule(Time.now - argument.to_f)
  when "fail" then Failing.set(queue: queue).perform_async
  end
  sets = [Sidekiq::ScheduledSet, Sidekiq::RetrySet].map { |set| set.new.size }
  puts JSON.generate([Sidekiq::Queue.new(queue).size, *sets])
end
